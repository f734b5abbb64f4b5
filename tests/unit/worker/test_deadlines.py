"""Who has waited too long."""

import math
import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.config.schema import Config
from prefork.http.messages import Limits, Peer, Response
from prefork.http.protocol import Protocol
from prefork.http.service import Service
from prefork.http.waiting import Waiting
from prefork.worker.connection import Connection, Writing
from prefork.worker.deadlines import Timeouts, expired, tick_of, timeouts
from prefork.worker.loop import Loop

PEER = Peer(b"127.0.0.1")

TIMEOUTS: Timeouts = {
    Waiting.REQUEST: 15.0,
    Waiting.LAST: 15.0,
    Waiting.HEAD: 10.0,
    Waiting.BODY: 30.0,
    Waiting.NOTHING: 30.0,
    Writing.ANSWER: 30.0,
    Writing.LINGERING: 2.0,
}
Connect = Callable[[bytes], Connection]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make a connection that has received something, and waits since 100."""
    loop = Loop()
    service = Service(lambda _request, _peer, _content: Response(200), Limits())
    sockets: list[socket.socket] = []

    def connect(sent: bytes) -> Connection:
        ours, theirs = socket.socketpair()
        sockets.extend((ours, theirs))
        ours.settimeout(0)
        connection = Connection(ours, PEER, Protocol(service, Peer(b"127.0.0.1")), loop, set())
        theirs.send(sent)
        connection.on_readable(0)
        connection.since = 100.0
        return connection

    yield connect
    loop.close()
    for each in sockets:
        each.close()


@pytest.mark.parametrize(
    ("sent", "timeout"),
    [
        (b"", 15.0),
        (b"GET", 10.0),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 30.0),
        (b"nonsense\r\n\r\n", 2.0),
    ],
)
def test_a_connection_may_wait_for_as_long_as_what_it_waits_for_allows(
    connect: Connect, sent: bytes, timeout: float
) -> None:
    connection = connect(sent)
    assert expired([connection], TIMEOUTS, 100.0 + timeout) == []
    assert expired([connection], TIMEOUTS, 100.5 + timeout) == [connection]


def test_only_those_that_waited_too_long_are_named(connect: Connect) -> None:
    idle, begun, refused = connect(b""), connect(b"GET"), connect(b"nonsense\r\n\r\n")
    assert expired([idle, begun, refused], TIMEOUTS, 112.0) == [begun, refused]


def test_each_thing_that_a_connection_can_wait_for_has_its_timeout() -> None:
    found = timeouts(Config(keep_alive_timeout=1, header_timeout=2, body_timeout=3, write_timeout=4, request_timeout=5))
    assert set(found) == {*Waiting, *Writing}
    assert [found[what] for what in (*Waiting, *Writing)] == [1, 1, 2, 3, 5, 4, 4, 2]
    assert timeouts(Config())[Waiting.APPLICATION] == math.inf


@given(st.lists(st.floats(0.001, 24 * 3600), min_size=7, max_size=7), st.just(0.0) | st.floats(0.001, 24 * 3600))
def test_the_tick_lets_no_timeout_be_exceeded_by_more_than_a_quarter(values: list[float], hang_timeout: float) -> None:
    tick = tick_of(values, hang_timeout)
    assert tick > 0
    assert not hang_timeout or tick <= hang_timeout / 4
    assert all(tick <= value / 4 for value in values)


POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(("after", "is_due"), [(31.9, False), (32.1, True)])
@pytest.mark.parametrize("unsent", [b"", b"of an answer"])
def test_a_body_or_an_answer_may_last_a_second_longer_for_each_so_many_bytes_of_it(
    connect: Connect, unsent: bytes, after: float, *, is_due: bool
) -> None:
    connection = connect(POST)
    connection._unsent = unsent
    connection.begun, connection.progress = 100.0, 20
    connection.since = 100.0 + after  # a byte has just come
    found = expired([connection], TIMEOUTS, 100.0 + after, min_data_rate=10)
    assert found == ([connection] if is_due else [])
    assert expired([connection], TIMEOUTS, 100.0 + after) == []


@pytest.mark.parametrize("first", [116.0, 131.0])  # seconds; the second is late, the loop was kept from looking
@pytest.mark.parametrize(("reads", "rate", "is_due"), [(0, 0, True), (1, 0, False), (1, 10, False), (1, 10_000, True)])
def test_who_takes_enough_of_what_the_kernel_has_of_an_answer_may_wait_anew(
    reads: int, rate: float, first: float, *, is_due: bool
) -> None:
    ours, theirs = socket.socketpair()
    loop = Loop()
    with ours, theirs:
        for _ in range(5):
            ours.send(b"x" * 2000)
        service = Service(lambda _request, _peer, _content: Response(200), Limits())
        connection = Connection(ours, PEER, Protocol(service, PEER), loop, set())
        connection._unsent = b"the rest"
        connection.since, connection.progress = 100.0, 1_000_000
        assert expired([connection], TIMEOUTS, first, rate) == []
        for _ in range(reads):
            theirs.recv(2000)
        found = expired([connection], TIMEOUTS, first + 15.0, rate)
    loop.close()
    assert found == ([connection] if is_due else [])
    assert connection.since == (100.0 if is_due else first + 15.0)


def test_only_bodies_and_answers_have_a_rate(connect: Connect) -> None:
    idle = connect(b"")
    idle.begun, idle.since = 100.0, 1000.0
    assert expired([idle], TIMEOUTS, 1001.0, min_data_rate=10) == []
