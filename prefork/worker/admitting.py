"""Makes the connections of a worker: of sockets that it accepted, and of those that another worker hands over."""

import socket
from functools import partial

from prefork.http.protocol import Protocol, Service
from prefork.ipc.scoreboard import CONNECTIONS, Row
from prefork.worker.connection import Connection, Moved
from prefork.worker.loop import Loop
from prefork.worker.observing import Observing
from prefork.worker.opening import Opener, Opening, Peer


class Admission:
    """The connections of a worker, and those that are being opened yet.

    Each enters its set by itself, and leaves it when it is closed. While `draining`, those that come are to end soon.
    """

    def __init__(
        self, service: Service, observing: Observing | None, loop: Loop, row: Row, openers: tuple[Opener, ...] = ()
    ) -> None:
        self.connections: set[Connection] = set()
        self.openings: set[Opening] = set()
        self.draining = False
        self._service = service
        self._observing = observing
        self._loop = loop
        self._row = row
        self._openers = openers

    def accept(self, sock: socket.socket, address: object) -> None:
        """Serve a client that the kernel has just connected from this address, once what comes before HTTP is done."""
        peer = Peer(peer_name(address))
        steps = [step for opener in self._openers if (step := opener(peer))]
        if steps:
            Opening(sock, steps, self._loop, self.openings, partial(self._connect, peer))
        else:
            self._connect(peer, sock)

    def adopt(self, sock: socket.socket, moved: Moved) -> None:
        """Go on where another worker left."""
        self._connect(moved.peer, sock).resume(moved)

    def expire(self, timeout: float) -> None:
        """Close those that have been in opening for longer than this."""
        for opening in [each for each in self.openings if self._loop.now - each.since > timeout]:
            opening.close()

    def _connect(self, peer: Peer, sock: socket.socket) -> Connection:
        observe = self._observing(peer) if self._observing else None
        connection = Connection(sock, peer, Protocol(self._service, observe), self._loop, self.connections)
        self._row[CONNECTIONS] = len(self.connections)
        if self.draining:
            connection.drain()
        return connection


def peer_name(address: object) -> bytes:
    """Return the IP address of what accept(2) gave for the peer; a unix socket has none."""
    return str(address[0]).encode() if isinstance(address, tuple) else b"unix:"
