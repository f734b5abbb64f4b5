"""The connections of a worker, and how many of them each client has."""

import socket
from functools import lru_cache
from typing import Final, Protocol, TypeVar

from prefork.http.messages import Peer

MOST_CLIENTS: Final = 1024  # that are remembered
NETWORK_BYTES: Final = 8  # of an IPv6 address: who has one address has all of the same 64 bits (RFC 4291 §2.5.1)


class Connected(Protocol):
    """What counts as a connection of its peer, which stays the same while it is counted."""

    peer: Peer


T = TypeVar("T", bound=Connected)


class Crowd(set[T]):
    """A set of connections that counts them by client when they are added and discarded."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[bytes, int] = {}

    def add(self, connection: T) -> None:
        set.add(self, connection)  # like `set.remove`, 0.1 µs cheaper than by super()
        client = client_of(connection.peer.address)
        self._counts[client] = self._counts.get(client, 0) + 1

    def discard(self, connection: T) -> None:  # type: ignore[override]  # nothing else is in it
        if connection in self:
            set.remove(self, connection)
            client = client_of(connection.peer.address)
            left = self._counts[client] - 1
            if left:
                self._counts[client] = left
            else:
                del self._counts[client]

    def count_of(self, peer: Peer) -> int:
        """Return how many connections the client of this peer has; behind a unix socket nobody is known."""
        client = client_of(peer.address)
        return self._counts.get(client, 0) if client != b"unix:" else 0


@lru_cache(MOST_CLIENTS)
def client_of(address: bytes) -> bytes:
    """Return what is counted together: an IPv4 address, the network of an IPv6 one."""
    if b":" not in address or address == b"unix:":
        return address
    return socket.inet_pton(socket.AF_INET6, address.decode().partition("%")[0])[:NETWORK_BYTES]
