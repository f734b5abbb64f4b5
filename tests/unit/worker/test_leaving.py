"""Ending the connections of a worker that leaves for good, by real sockets: few at once, more little by little."""

import socket
from collections.abc import Iterator

import pytest

from prefork.http.messages import Limits, Peer, Response
from prefork.http.protocol import Protocol
from prefork.http.service import Service
from prefork.worker.connection import Connection
from prefork.worker.leaving import INTERVAL, LEAST_SHARE, SPREAD, Draining, share_of
from prefork.worker.loop import Loop

PEER = Peer(b"127.0.0.1")

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Office:
    """A loop, its connections, and their clients."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.connections: set[Connection] = set()
        self.clients: list[socket.socket] = []
        self._service = Service(lambda _request, _peer, _content: Response(200), Limits())

    def connect(self) -> socket.socket:
        client, ours = socket.socketpair()
        client.settimeout(0)
        ours.settimeout(0)
        protocol = Protocol(self._service, Peer(b"127.0.0.1"))
        connection = Connection(ours, PEER, protocol, self.loop, self.connections)
        connection.begin(to_read=False)
        connection.drain()
        self.clients.append(client)
        return client

    def open(self) -> list[socket.socket]:
        """Return the clients that have not been told of an end."""
        return [each for each in self.clients if each.fileno() >= 0 and not at_end(each)]

    def turn(self) -> None:
        """Wait for whatever comes next."""
        self.loop.running = True
        self.loop.after_turn[:] = [lambda: setattr(self.loop, "running", False)]
        self.loop.run()

    def close(self) -> None:
        for each in self.clients:
            each.close()
        for connection in list(self.connections):
            connection.close()
        self.loop.close()


def at_end(client: socket.socket) -> bool:
    try:
        return not client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


def test_a_few_idle_connections_are_closed_at_once(office: Office) -> None:
    for _ in range(LEAST_SHARE):
        office.connect()
    Draining(office.connections, office.loop, 30.0)
    assert office.open() == []


def test_many_idle_connections_are_closed_little_by_little(office: Office) -> None:
    for _ in range(3 * LEAST_SHARE):
        office.connect()
    Draining(office.connections, office.loop, 30.0)
    left = len(office.open())
    assert left == 2 * LEAST_SHARE
    while left:
        office.turn()
        assert left - len(office.open()) <= LEAST_SHARE
        left = len(office.open())


def test_a_request_that_comes_meanwhile_is_answered_and_its_connection_ends(office: Office) -> None:
    for _ in range(2 * LEAST_SHARE):
        office.connect()
    Draining(office.connections, office.loop, 30.0)
    client = office.open()[0]
    client.send(GET)
    office.turn()
    answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert at_end(client)


def test_a_connection_that_becomes_idle_later_is_closed_then(office: Office) -> None:
    Draining(office.connections, office.loop, 30.0)
    client = office.connect()
    office.turn()
    assert at_end(client)


@pytest.mark.parametrize("count", [0, 1, LEAST_SHARE, 1999, 10_000])
@pytest.mark.parametrize("within", [0.001, 0.3, 2.0, 3600.0])
def test_all_are_closed_in_half_the_time_that_there_is_and_within_a_second(count: int, within: float) -> None:
    turns_before_the_last = -(-count // share_of(count, within)) - 1
    assert turns_before_the_last * INTERVAL <= min(SPREAD, within / 2)
