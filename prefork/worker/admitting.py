"""Makes the connections of a worker: of sockets that it accepted, and of those that another worker hands over."""

import socket
from collections.abc import Callable, Collection
from functools import lru_cache, partial
from typing import Final

from msgspec import Struct

from prefork.http.messages import Peer, Rejection
from prefork.http.protocol import Protocol
from prefork.http.reasons import GIVEN_UP
from prefork.http.service import Service
from prefork.http.trust import NOBODY
from prefork.ipc.scoreboard import CONNECTIONS, Row
from prefork.logs.log import Log
from prefork.worker.connection import Connection, Moved
from prefork.worker.crowd import Crowd
from prefork.worker.loop import Loop
from prefork.worker.observing import Observer, Watch
from prefork.worker.opening import Opener, Opening

FULL: Final = "too many connections"
CROWDING: Final = "too many connections of one client"
MOST_NAMES: Final = 1024  # of clients that are remembered
MOST_REFUSED: Final = 256  # connections that are told so and left the time to read it; others are only closed


class Capacity(Struct, frozen=True):
    """How many connections a worker takes, in all and of one client. When it is full, others `wait` or are refused.

    An address that `is_proxy` has as many as it wants: they are those of many clients.
    """

    connections: int = 10_000
    per_client: int = 1000
    wait: bool = True
    is_proxy: Callable[[bytes], bool] = NOBODY


class Admission:
    """A worker's connections, those that are being opened yet, and those that are refused, which count for nothing.

    Each enters its set by itself, and leaves it when it is closed.
    """

    def __init__(
        self,
        service: Service,
        watch: Watch | None,
        loop: Loop,
        row: Row,
        capacity: Capacity,
        *,
        openers: tuple[Opener, ...] = (),
    ) -> None:
        self.connections: Crowd[Connection] = Crowd()
        self.openings: Crowd[Opening] = Crowd()
        self.refused: set[Connection] = set()
        self._draining: Collection[bytes] = ()
        self._service = service
        self._watch = watch
        self._loop = loop
        self._row = row
        self._openers = openers
        self._capacity = capacity
        self._told_full = False

    def must_wait(self) -> bool:
        """Tell whether no more may be accepted now."""
        return self._capacity.wait and self._room <= 0

    def accept(self, sock: socket.SocketType, address: object, *, to_read: bool) -> None:
        """Serve a client that the kernel has just connected from this address, once what comes before HTTP is done."""
        self._open(Peer(peer_name(address)), self._openers, self._loop.now, sock, to_read=to_read)

    def adopt(self, sock: socket.SocketType, moved: Moved) -> None:
        """Go on where another worker left."""
        self._connect(moved.peer, sock).resume(moved)

    def drain(self, schemes: Collection[bytes]) -> None:
        """Let the connections of these schemes end soon, and those that come from now on."""
        self._draining = schemes
        for connection in self.connections:
            if connection.peer.scheme in schemes:
                connection.drain()

    def expire(self, timeout: float) -> None:
        """Close those that have been in opening for longer than this."""
        for opening in [each for each in self.openings if self._loop.now - each.since > timeout]:
            opening.give_up(TimeoutError("waited too long for what comes before HTTP"))

    @property
    def is_empty(self) -> bool:
        """Whether there is none of any kind."""
        return not (self.connections or self.openings or self.refused)

    def cut(self) -> int:
        """Close all at once, and return how many were served or being opened."""
        count = len(self.connections) + len(self.openings)
        for connection in (*self.connections, *self.refused):
            connection.close()
        for opening in list(self.openings):
            opening.give_up(ConnectionAbortedError())
        return count

    def tell_full(self, log: Log) -> None:
        """Log when new connections begin to wait because it is full, and when they no longer do."""
        if self.must_wait() != self._told_full:
            self._told_full = not self._told_full
            event = "full: new connections wait" if self._told_full else "no longer full"
            opening = len(self.openings)
            log.warning(event, connections=len(self.connections) + opening, opening=opening, key="max_connections")

    @property
    def _room(self) -> int:
        return self._capacity.connections - len(self.connections) - len(self.openings)

    def _open(
        self,
        peer: Peer,
        openers: tuple[Opener, ...],
        since: float,
        sock: socket.SocketType,
        *,
        to_read: bool,
    ) -> None:
        """Do what these openers ask for, one by one, as the first may tell whose the connection is; then serve it."""
        if not openers:
            self._admit(peer, sock, to_read=to_read)
            return
        steps, go_on = openers[0](peer, sock), partial(self._open, peer, openers[1:], since, to_read=to_read)
        if not steps:
            go_on(sock)
        elif (reason := self._reason_against(peer, beyond=MOST_REFUSED)) is not None:
            sock.close()  # to tell it why would take a handshake
            self._service.count(GIVEN_UP, reason, peer)
        else:
            Opening(
                sock,
                steps,
                self._loop,
                self.openings,
                opened=go_on,
                refused=partial(self._refuse, peer),
                gave_up=partial(self._count, peer),
                peer=peer,
                since=since,
            )

    def _count(self, peer: Peer, error: OSError) -> None:
        if error.errno is None and error.args:
            self._service.count(GIVEN_UP, error.args[0], peer)

    def _admit(self, peer: Peer, sock: socket.SocketType, *, to_read: bool) -> None:
        if (reason := self._reason_against(peer)) is None:
            # What is asked of a worker that leaves is for its heirs.
            self._connect(peer, sock).begin(to_read=to_read and not self._draining)
        else:
            self._refuse(peer, sock, Rejection(503, reason))

    def _refuse(self, peer: Peer, sock: socket.SocketType, rejection: Rejection) -> None:
        _response, answer = self._service.refuse(rejection, peer)
        if len(self.refused) >= MOST_REFUSED:
            sock.close()
        else:
            Connection(sock, peer, Protocol(self._service, peer), self._loop, self.refused).send_last(answer)

    def _reason_against(self, peer: Peer, *, beyond: int = 0) -> str | None:
        """Return why this one can't be served, though there were room for so many more than there is.

        Where the others wait, it was let in while there was room.
        """
        capacity = self._capacity
        if not capacity.wait and self._room + beyond <= 0:
            return FULL
        count = self.connections.count_of(peer) + (self.openings.count_of(peer) if self.openings else 0)
        return CROWDING if count >= capacity.per_client and not capacity.is_proxy(peer.address) else None

    def _connect(self, peer: Peer, sock: socket.SocketType) -> Connection:
        observer = Observer(self._watch, peer) if self._watch else None
        protocol = Protocol(self._service, peer, observer)
        connection = Connection(sock, peer, protocol, self._loop, self.connections, observer=observer)
        self._row[CONNECTIONS] = len(self.connections)
        if peer.scheme in self._draining:
            connection.drain()
        return connection


def peer_name(address: object) -> bytes:
    """Return the IP address of what accept(2) gave for the peer; a unix socket has none.

    A socket that was made elsewhere, as systemd does, may be for both versions of IP, and has IPv4 mapped (RFC 4291
    §2.5.5.2).
    """
    return name_of(address[0]) if isinstance(address, tuple) else b"unix:"


@lru_cache(MOST_NAMES)
def name_of(host: str) -> bytes:
    """Return an IP address in bytes."""
    return (host.removeprefix("::ffff:") if "." in host else host).encode()
