"""TLS in the loop: two steps before HTTP, after which a socket is read and written like a plain one.

Imported only where TLS is configured: what it needs makes a process larger by 5 MB.
"""

import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from prefork.http.faults import fault
from prefork.http.messages import Peer, Rejection
from prefork.http.proxy import FIXED, SIGNATURE
from prefork.worker.loop import READABLE, WRITABLE
from prefork.worker.opening import Opener, Step

HANDSHAKE: Final = b"\x16"  # the first byte of a ClientHello's record (RFC 8446 §5.1)
PLAIN: Final = "plain HTTP to a port that speaks TLS: use https://"


class TlsSocket(ssl.SSLSocket):
    """A socket that never blocks and behaves as a plain one does, in what it raises too.

    A read of a whole record, 16 KiB (RFC 8446 §5.1), leaves nothing decrypted behind that epoll doesn't know of.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLWantWriteError:  # it asks for new keys, and takes none: it would be readable again and again
            raise ConnectionResetError from None

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]  # nothing else is sent here
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Say that nothing more comes (RFC 8446 §6.1), and half-close; what is read from now on is not decrypted."""
        self._say_end()
        super().shutdown(how)

    def close(self) -> None:
        """Close, and say so before."""
        self._say_end()
        super().close()

    def _say_end(self) -> None:
        with suppress(OSError, ValueError):  # nothing to say it to, it is said already, or the peer's word is awaited
            self.unwrap()


def opener(context: ssl.SSLContext) -> Opener:
    """Return the opener that has all speak TLS who come over a network."""
    context.sslsocket_class = TlsSocket

    def open_with(peer: Peer, sock: socket.SocketType) -> list[Step]:
        return [partial(wrap, context), partial(shake_hands, peer)] if sock.family != socket.AF_UNIX else []

    return open_with


def wrap(context: ssl.SSLContext, sock: socket.SocketType) -> socket.SocketType | int:
    """Return the socket as one that speaks TLS, once its peer has begun to."""
    try:
        begun = sock.recv(FIXED, socket.MSG_PEEK)
    except BlockingIOError:
        return READABLE
    if not begun:
        raise ConnectionResetError
    if not begun.startswith(HANDSHAKE):
        raise fault(begun) if begun.startswith((b"PROXY ", SIGNATURE)) else Rejection(400, PLAIN)
    plain = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    plain.settimeout(0)  # a new object knows nothing of it
    return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)


def shake_hands(peer: Peer, sock: socket.SocketType) -> socket.SocketType | int:
    """Go on with the handshake; the peer's scheme is https after it."""
    assert isinstance(sock, ssl.SSLSocket)
    try:
        with untold_names():
            sock.do_handshake()
    except ssl.SSLWantReadError:
        return READABLE
    except ssl.SSLWantWriteError:
        return WRITABLE
    except ssl.SSLEOFError:
        raise ConnectionResetError from None
    except ssl.SSLError as error:
        reason = (error.reason or "unknown reason").lower().replace("_", " ")
        raise ConnectionAbortedError(f"TLS handshake failed: {reason}") from None
    peer.scheme = b"https"
    return sock


@contextmanager
def untold_names() -> Iterator[None]:
    """Keep out of the log what ssl prints there of a server name that isn't ASCII: a traceback, whenever anybody likes.

    It decodes the name before it calls back with it, tells of an error nobody, and refuses the client.
    """
    tell = sys.unraisablehook

    def tell_others(told: "sys.UnraisableHookArgs") -> None:
        if not isinstance(told.exc_value, UnicodeDecodeError):
            tell(told)

    sys.unraisablehook = tell_others
    try:
        yield
    finally:
        sys.unraisablehook = tell
