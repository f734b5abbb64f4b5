"""Leaving, by real sockets: connections move to heirs, or end, few of the idle at once and more little by little."""

import math
import os
import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from threading import Semaphore

import pytest

from prefork.apps.pool import Pool
from prefork.http.answers import AnswerHead, Whole
from prefork.http.content import Content
from prefork.http.messages import Limits, Peer, Request, Response
from prefork.http.protocol import Protocol
from prefork.http.service import Service
from prefork.http.waiting import Waiting
from prefork.ipc.handover import Handover, handover_pair
from prefork.ipc.scoreboard import Scoreboard
from prefork.logs.log import Log
from prefork.worker.admitting import Admission, Capacity
from prefork.worker.connection import Connection
from prefork.worker.leaving import (
    INTERVAL,
    LEAST_SHARE,
    LONGEST_CLOSING,
    SPREAD,
    Draining,
    Leaving,
    share_of,
)
from prefork.worker.loop import Loop
from prefork.worker.moving import Arrivals

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


# With heirs, and without


class Leaver:
    """A worker's connections, its leaving, and the other ends of what it has heirs by."""

    def __init__(self, threads: Pool | None = None) -> None:
        self.loop = Loop()
        self.scoreboard = Scoreboard()
        service = Service(lambda _request, _peer, _content: Response(200), Limits())
        self.admission = Admission(service, None, self.loop, self.scoreboard.take(), Capacity())
        self.leaving = Leaving(self.admission, self.loop, Log("worker-0", "info"), threads)
        self.clients: list[socket.socket] = []
        self.heirs: list[Handover] = []
        self.left = 0
        self.runs = True
        self.leaving.on_left = self._on_left

    def _on_left(self) -> None:
        self.left += 1

    def connect(self, count: int) -> None:
        for _ in range(count):
            client, ours = socket.socketpair()
            for each in client, ours:
                each.settimeout(0)
            self.clients.append(client)
            self.admission.accept(ours, "", to_read=False)

    def heir(self, *, holds: int | None = None) -> Handover:
        """Return one; it `holds` so many bytes until it takes them."""
        ours, theirs = handover_pair()
        if holds is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, holds)
        self.heirs.append(Handover(theirs))
        return Handover(ours)

    def take(self, number: int) -> int | None:
        """Return how many connections an heir gets now, None at the end."""
        count = 0
        with suppress(BlockingIOError):
            while True:
                parcels, fds = self.heirs[number].receive()
                for fd in fds:
                    os.close(fd)
                count += len(fds)
                if not parcels:
                    return count or None
        return count

    def turn(self) -> None:
        for moment in self.loop.now, math.inf:
            self.loop.call_at(moment, lambda: None)

        def end() -> None:
            self.runs, self.loop.running = self.loop.running, False

        self.loop.after_turn.append(end)
        self.loop.running = True
        self.loop.run()
        self.loop.after_turn.remove(end)

    def ends_at(self, moment: float) -> bool:
        """Return whether a turn at this moment is the last."""
        self.loop.now, self.loop.running = moment, True
        self.leaving._end_when_done()
        return not self.loop.running

    def close(self) -> None:
        self.admission.cut()
        for heir in (*self.heirs, *self.leaving.heirs):
            heir.close()
        for client in self.clients:
            client.close()
        os.close(self.scoreboard.fd)
        self.loop.close()


@pytest.fixture
def leaver() -> Iterator[Leaver]:
    leaver = Leaver()
    yield leaver
    leaver.close()


def test_all_connections_move_and_then_it_ends_and_tells_its_heirs(leaver: Leaver) -> None:
    leaver.connect(10)
    leaver.leaving.hand_over_to([leaver.heir()])
    leaver.leaving.begin(5.0, for_good=False)
    leaver.turn()
    assert (leaver.take(0), leaver.take(0), leaver.left, leaver.runs) == (10, None, 1, False)


def test_it_has_left_when_no_connection_waits_for_an_heir(leaver: Leaver) -> None:
    leaver.connect(300)
    leaver.leaving.hand_over_to([leaver.heir(holds=1)])
    leaver.leaving.begin(5.0, for_good=False)
    taken = 0
    for _ in range(3):
        leaver.turn()
    assert (leaver.left, leaver.runs) == (0, True)
    while leaver.admission.connections:
        taken += leaver.take(0) or 0
        leaver.turn()
    assert (taken + (leaver.take(0) or 0), leaver.left, leaver.runs) == (300, 1, False)


def test_heirs_that_follow_others_get_what_is_left(leaver: Leaver) -> None:
    leaver.connect(300)
    leaver.leaving.hand_over_to([leaver.heir(holds=1)])
    leaver.leaving.begin(5.0, for_good=False)
    leaver.turn()
    first = leaver.take(0)
    assert first
    second = leaver.heir()
    leaver.leaving.hand_over_to([second])
    assert list(leaver.leaving.heirs) == [second]
    leaver.leaving.begin(5.0, for_good=False)
    assert leaver.take(0) is None
    leaver.turn()
    assert leaver.take(1) == 300 - first


def test_who_leaves_for_good_after_all_closes_what_is_idle_and_hands_nothing_over(leaver: Leaver) -> None:
    leaver.leaving.hand_over_to([leaver.heir()])
    leaver.leaving.begin(5.0, for_good=False)
    leaver.connect(10)
    leaver.leaving.begin(5.0, for_good=True)
    leaver.turn()
    assert leaver.take(0) is None
    assert all(at_end(client) for client in leaver.clients)
    assert list(leaver.leaving.heirs) == []


@pytest.mark.parametrize("for_good", [False, True])
def test_without_an_heir_who_is_in_the_middle_of_a_request_is_told_that_its_answer_is_the_last(
    leaver: Leaver, *, for_good: bool
) -> None:
    leaver.connect(1)
    (client,) = leaver.clients
    client.send(GET[:10])
    leaver.turn()
    leaver.leaving.begin(5.0, for_good=for_good)
    leaver.turn()
    client.send(GET[10:])
    leaver.turn()
    assert b"\r\nConnection: close\r\n" in client.recv(4096)


@pytest.mark.parametrize("has_heir", [True, False])
def test_what_can_not_move_ends_with_its_next_answer(leaver: Leaver, *, has_heir: bool) -> None:
    leaver.connect(2)
    plain, encrypted = leaver.admission.connections
    encrypted.peer.scheme = b"https"
    if has_heir:
        leaver.leaving.hand_over_to([leaver.heir()])
    leaver.leaving.begin(5.0, for_good=False)
    assert [plain.waiting_for, encrypted.waiting_for] == [
        Waiting.REQUEST if has_heir else Waiting.LAST,
        Waiting.LAST,
    ]
    leaver.turn()
    assert encrypted in leaver.admission.connections


# In time


@pytest.mark.parametrize("timeouts", [(1.0, 1000.0), (1000.0, 1.0)])
def test_of_two_requests_to_leave_the_sooner_holds(leaver: Leaver, timeouts: tuple[float, float]) -> None:
    for timeout in timeouts:
        leaver.leaving.begin(timeout, for_good=True)
    assert leaver.leaving.ends_at == leaver.loop.now + 1.0


def test_what_has_not_ended_in_time_is_cut_and_told(leaver: Leaver, capfd: pytest.CaptureFixture[str]) -> None:
    leaver.connect(3)
    for client in leaver.clients:
        client.send(GET[:10])
    leaver.turn()
    leaver.leaving.begin(3600.0, for_good=False)
    end = leaver.loop.now + 3600.0
    assert not leaver.ends_at(end - 0.001)
    assert leaver.ends_at(end)
    assert all(at_end(client) for client in leaver.clients)
    assert 'connections cut count=3 reason="graceful_timeout passed"\n' in capfd.readouterr().err


def test_who_is_still_given_connections_does_not_end_before_it_has_them_or_its_time_is_over(leaver: Leaver) -> None:
    pairs = [handover_pair() for _ in range(2)]
    for _, theirs in pairs:
        Arrivals(
            Handover(theirs), leaver.loop, leaver.leaving.arrivals, leaver.admission.adopt, Log("worker-0", "info")
        )
    leaver.leaving.begin(3600.0, for_good=False)
    leaver.turn()
    assert leaver.runs
    pairs[0][0].close()
    leaver.turn()
    assert leaver.runs
    assert leaver.ends_at(leaver.loop.now + 3600.0)
    assert leaver.leaving.arrivals == set()
    with pytest.raises(BrokenPipeError):
        pairs[1][0].send(b"")
    pairs[1][0].close()


def test_threads_are_waited_for_and_after_a_cut_a_moment_longer() -> None:
    gate = Semaphore(0)

    def call(_request: Request, _peer: Peer, _content: Content | None) -> Whole:
        gate.acquire()
        return Whole(AnswerHead(200, b""))

    pool = Pool(call, 1, 1)
    leaver = Leaver(pool)
    leaver.connect(1)
    pool.respond(Request(b"GET", b"/", 1, b""), Peer(b"127.0.0.1"), None)
    leaver.leaving.begin(3600.0, for_good=False)
    end = leaver.loop.now + 3600.0
    assert not leaver.ends_at(end)
    assert leaver.admission.is_empty
    assert end + LONGEST_CLOSING in [moment for moment, *_ in leaver.loop._timers]
    assert not leaver.ends_at(end + LONGEST_CLOSING - 0.001)
    assert leaver.ends_at(end + LONGEST_CLOSING)
    gate.release()
    while pool.is_busy:
        assert select.select([pool], [], [], 5)[0]
        pool.on_readable(0)
    assert leaver.ends_at(end + LONGEST_CLOSING - 0.001)
    leaver.close()
