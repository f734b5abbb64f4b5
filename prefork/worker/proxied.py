"""Reads the header that a trusted proxy sends ahead of each connection, and takes the client's address from it."""

import socket
from collections.abc import Callable

from prefork.http.messages import Peer
from prefork.http.proxy import LONGEST_V2, parse
from prefork.worker.loop import READABLE
from prefork.worker.opening import Opener, Step


class HeaderStep:
    """The step that reads one header, and nothing of what follows it, which may be a TLS handshake."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._received = b""

    def __call__(self, sock: socket.SocketType) -> socket.SocketType | int:
        try:
            more = sock.recv(LONGEST_V2, socket.MSG_PEEK)
        except BlockingIOError:
            return READABLE
        if not more:
            raise ConnectionResetError
        try:
            header = parse(self._received + more)
        except ValueError as error:
            raise ConnectionAbortedError(*error.args) from None
        if header is None:  # all of it is the header's; left where it is, it would wake the loop again and again
            self._received += sock.recv(len(more))
            return READABLE
        sock.recv(header.length - len(self._received))
        # Of a client that came by a unix socket HAProxy says LOCAL, as in its own health checks; so that is no proof.
        self._peer.is_known = header.address is not None
        self._peer.address = header.address or self._peer.address
        return sock


def proxy_opener(is_trusted: Callable[[bytes], bool]) -> Opener:
    """Return the opener that expects a header of trusted addresses, and of no others: they are clients themselves."""

    def opener(peer: Peer, _sock: socket.SocketType) -> list[Step]:
        return [HeaderStep(peer)] if is_trusted(peer.address) else []

    return opener
