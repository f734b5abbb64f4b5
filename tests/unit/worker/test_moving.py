"""Moving connections between two loops, by real sockets: nothing is lost when the heir is behind, or gone."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from prefork.http.messages import Limits, Peer, Response
from prefork.http.protocol import Protocol
from prefork.http.service import Service
from prefork.ipc.handover import LARGEST_PARCEL, Handover, handover_pair
from prefork.logs.log import Log
from prefork.worker.connection import Connection, Moved
from prefork.worker.loop import Loop
from prefork.worker.moving import Arrivals, Departures

PEER = Peer(b"127.0.0.1")

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
COUNT = 300  # more than a narrow handover holds at once


class Side:
    """A loop and its connections."""

    def __init__(self, body: bytes = b"") -> None:
        self.loop = Loop()
        self.service = Service(lambda _request, _peer, _content: Response(200, (), body), Limits())
        self.connections: set[Connection] = set()
        self.arrivals: set[Arrivals] = set()

    def connect(self, sock: socket.socket) -> Connection:
        sock.settimeout(0)
        connection = Connection(sock, PEER, Protocol(self.service, Peer(b"127.0.0.1")), self.loop, self.connections)
        connection.begin(to_read=False)
        return connection

    def adopt(self, sock: socket.socket, moved: Moved) -> None:
        self.connect(sock).resume(moved)

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
        assert not departures.move(leaving.connections)
        leaving.turn()
    assert 0 < len(leaving.connections) < COUNT
    Arrivals(Handover(theirs), staying.loop, staying.arrivals, staying.adopt, Log("worker-1", "info"))
    for _ in range(COUNT):
        all_moved = departures.move(leaving.connections)
        assert all_moved is not bool(leaving.connections)
        leaving.turn()
        staying.turn()
        if all_moved:
            break
    departures.close()
    while staying.arrivals:
        staying.turn()
    assert len(staying.connections) == COUNT
    for client, _ in clients:
        client.sendall(GET)
    staying.turn()
    assert all(client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n") for client, _ in clients)
    leaving.close()
    staying.close()


@pytest.mark.parametrize("asked", [1, 3])
def test_an_answer_that_is_too_large_to_move_stays_until_its_client_has_taken_enough(asked: int) -> None:
    leaving, staying = Side(b"x" * LARGEST_PARCEL), Side()
    client, ours = socket.socketpair()
    client.settimeout(5)
    connection = leaving.connect(ours)
    client.sendall(GET * asked + GET[:10])
    leaving.turn()
    departing, arriving = handover_pair()
    departures = Departures([Handover(departing)], leaving.loop, Log("worker-0", "info"))
    Arrivals(Handover(arriving), staying.loop, staying.arrivals, staying.adopt, Log("worker-1", "info"))
    received = b""
    while leaving.connections:
        departures.move(leaving.connections)
        received += client.recv(1 << 14)
        leaving.turn()
    assert connection.fileno() == -1
    departures.close()
    while staying.arrivals:
        staying.turn()
    client.sendall(GET[10:])
    client.settimeout(0)
    while received.count(b"HTTP/1.1 200 OK\r\n") <= asked:
        staying.turn()
        with suppress(BlockingIOError):
            received += client.recv(1 << 20)
    assert received.count(b"x") == LARGEST_PARCEL  # the other requests waited, and the heir has answered them
    assert b"Connection: close" not in received
    client.close()
    staying.close()
    leaving.close()


def test_connections_of_an_heir_that_has_gone_move_to_another_in_the_same_turn(
    clients: list[tuple[socket.socket, socket.socket]],
) -> None:
    leaving = Side()
    for _, ours in clients[:10]:
        leaving.connect(ours)
    gone, another = handover_pair(), handover_pair()
    gone[1].close()
    departures = Departures([Handover(each[0]) for each in (gone, another)], leaving.loop, Log("worker-0", "info"))
    assert departures.move(leaving.connections)
    assert not leaving.connections
    departures.close()
    another[1].close()
    leaving.close()


def test_connections_of_an_heir_that_has_gone_are_kept(clients: list[tuple[socket.socket, socket.socket]]) -> None:
    leaving = Side()
    for _, ours in clients:
        leaving.connect(ours)
    ours, theirs = narrow_pair()
    departures = Departures([Handover(ours)], leaving.loop, Log("worker-0", "info"))
    departures.move(leaving.connections)
    kept = len(leaving.connections)
    theirs.close()
    leaving.turn()
    departures.move(leaving.connections)
    assert 0 < kept == len(leaving.connections)
    leaving.close()
