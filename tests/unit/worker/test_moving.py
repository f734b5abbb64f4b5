"""Moving connections between two loops, by real sockets: nothing is lost when the heir is behind, or gone."""

import socket
from collections.abc import Iterator

import pytest

from prefork.http.messages import Limits, Response
from prefork.http.protocol import Protocol, Service
from prefork.ipc.handover import Handover, handover_pair
from prefork.logs import Log
from prefork.worker.connection import Connection
from prefork.worker.loop import Loop
from prefork.worker.moving import Arrivals, Departures, Moved

COUNT = 300  # more than a narrow handover holds at once


class Side:
    """A loop and its connections."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.service = Service(lambda _request: Response(200), Limits())
        self.connections: set[Connection] = set()

    def connect(self, sock: socket.socket) -> Connection:
        sock.settimeout(0)
        return Connection(sock, Protocol(self.service), self.loop, self.connections)

    def adopt(self, sock: socket.socket, moved: Moved) -> None:
        self.connect(sock).resume(moved.parcel, moved.since)

    def turn(self) -> None:
        """Let the loop turn once, with what is ready now."""
        self.loop.running = True

        def end() -> None:
            self.loop.running = False

        self.loop.after_turn[:] = [end]
        self.loop.call_at(self.loop.now, lambda: None)  # so that it doesn't wait
        self.loop.call_at(float("inf"), lambda: None)
        self.loop.run()

    def close(self) -> None:
        for connection in list(self.connections):
            connection.close()
        self.loop.close()


def narrow_pair() -> tuple[socket.socket, socket.socket]:
    """Return a handover that holds as little as the kernel allows (socket(7), SO_SNDBUF)."""
    ours, theirs = handover_pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    return ours, theirs


@pytest.fixture
def clients() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    pairs = [socket.socketpair() for _ in range(COUNT)]
    yield pairs
    for pair in pairs:
        for each in pair:
            each.close()


def test_connections_wait_for_an_heir_that_is_behind(clients: list[tuple[socket.socket, socket.socket]]) -> None:
    leaving, staying = Side(), Side()
    for _, ours in clients:
        leaving.connect(ours)
    ours, theirs = narrow_pair()
    departures = Departures([Handover(ours)], leaving.loop, Log("worker-0", "info"))
    for _ in range(3):  # turns in which the heir takes nothing
        departures.move(leaving.connections)
        leaving.turn()
    assert 0 < len(leaving.connections) < COUNT
    arrivals = Arrivals(Handover(theirs), staying.loop, staying.adopt, Log("worker-1", "info"))
    for _ in range(COUNT):
        departures.move(leaving.connections)
        leaving.turn()
        staying.turn()
        if not leaving.connections:
            break
    departures.close()
    while not arrivals.over:
        staying.turn()
    assert len(staying.connections) == COUNT
    for client, _ in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    staying.turn()
    assert all(client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n") for client, _ in clients)
    leaving.close()
    staying.close()


def test_connections_of_an_heir_that_has_gone_are_kept(clients: list[tuple[socket.socket, socket.socket]]) -> None:
    leaving = Side()
    for _, ours in clients:
        leaving.connect(ours)
    ours, theirs = narrow_pair()
    departures = Departures([Handover(ours)], leaving.loop, Log("worker-0", "info"))
    departures.move(leaving.connections)
    kept = len(leaving.connections)
    theirs.close()
    departures.move(leaving.connections)
    assert 0 < kept == len(leaving.connections)
    leaving.close()
