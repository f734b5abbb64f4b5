"""The connections of a worker, and how many of them each client has."""

import socket
from collections import defaultdict
from typing import Final

from prefork.http.messages import Peer
from prefork.worker.connection import Connection

NETWORK_BYTES: Final = 8  # of an IPv6 address: who has one address has all of the same 64 bits (RFC 4291 §2.5.1)


class Crowd(set[Connection]):
    """A set of connections that counts them by client when they are added and discarded."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: defaultdict[bytes, int] = defaultdict(int)

    def add(self, connection: Connection) -> None:
        set.add(self, connection)  # like `set.remove`, 0.1 µs cheaper than by super()
        self._counts[client_of(connection.peer)] += 1

    def discard(self, connection: object) -> None:
        if connection in self:
            assert isinstance(connection, Connection)
            set.remove(self, connection)
            client = client_of(connection.peer)
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]

    def count_of(self, peer: Peer) -> int:
        """Return how many connections the client has that this peer belongs to; behind a unix socket nobody is known."""
        client = client_of(peer)
        return self._counts.get(client, 0) if client != b"unix:" else 0


def client_of(peer: Peer) -> bytes:
    """Return what is counted together: an IPv4 address, the network of an IPv6 one."""
    if peer.address.find(b":") < 0 or peer.address == b"unix:":  # `in` would take the bytes for a number first: 0.3 µs
        return peer.address
    return socket.inet_pton(socket.AF_INET6, peer.address.decode().partition("%")[0])[:NETWORK_BYTES]
