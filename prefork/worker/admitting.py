"""Makes the connections of a worker: of sockets that it accepted, and of those that another worker hands over."""

import socket

from prefork.http.protocol import Protocol, Service
from prefork.ipc.scoreboard import CONNECTIONS, Row
from prefork.worker.connection import Connection, Moved
from prefork.worker.loop import Loop
from prefork.worker.observing import Observing


class Admission:
    """The connections of a worker. Each enters the set by itself, and leaves it when it is closed."""

    def __init__(self, service: Service, observing: Observing | None, loop: Loop, row: Row) -> None:
        self.connections: set[Connection] = set()
        self._service = service
        self._observing = observing
        self._loop = loop
        self._row = row

    def accept(self, sock: socket.socket, address: object) -> None:
        """Serve a client that the kernel has just connected from this address."""
        self._connect(sock, address)

    def adopt(self, sock: socket.socket, moved: Moved) -> Connection:
        """Go on where another worker left."""
        connection = self._connect(sock, peer_address(sock))
        connection.resume(moved)
        return connection

    def _connect(self, sock: socket.socket, address: object) -> Connection:
        observe = self._observing(peer_name(address)) if self._observing else None
        connection = Connection(sock, Protocol(self._service, observe), self._loop, self.connections)
        self._row[CONNECTIONS] = len(self.connections)
        return connection


def peer_address(sock: socket.socket) -> object:
    """Return what accept(2) would give for the peer, None for one that has gone."""
    try:
        return sock.getpeername()
    except OSError:
        return None


def peer_name(address: object) -> bytes:
    """Return the IP address of what accept(2) gave for the peer; a unix socket has none, nor one that has gone."""
    if address is None:
        return b"-"
    return str(address[0]).encode() if isinstance(address, tuple) else b"unix:"
