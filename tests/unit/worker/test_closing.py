"""A connection ends so that its client can read the last answer (RFC 9112 §9.6), and then nothing is left of it."""

import re
from collections.abc import Iterator

import pytest

from prefork.worker.closing import MOST_DROPPED
from prefork.worker.connection import Writing
from prefork.worker.loop import READABLE
from tests.unit.worker.test_connection import CLOSING, GET, LARGE, Server, reset, server, tcp
from tests.unit.worker.test_connection_streaming import received_until_reset
from tests.unit.worker.test_observing import Log

__all__ = ["server", "tcp"]


def test_after_the_last_answer_to_a_done_client_the_connection_is_closed_at_once(server: Server) -> None:
    server.client.send(CLOSING)
    server.turn()
    assert server.is_gone
    assert server.receive_all().endswith(b"Hello")


def test_what_is_whole_ends_without_a_reset(tcp: Server) -> None:
    tcp.client.send(CLOSING)
    tcp.turn()
    assert tcp.is_gone
    assert tcp.receive_all().endswith(b"Hello")


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log("%s %O %X")
    yield log
    log.close()


@pytest.mark.parametrize(
    ("sent", "late", "told"),
    [(GET[:10], True, r"408 [1-9]\d+ \+"), (GET[:10], False, "499 0 X"), (b"", True, ""), (GET, False, r"200 \d+ \+")],
)
def test_the_access_log_tells_how_a_request_has_ended(
    server: Server, log: Log, sent: bytes, told: str, *, late: bool
) -> None:
    server.connection._observer = server.connection._protocol._observer = log.observer
    server.client.send(sent)
    if sent:
        server.turn()
    if late:
        server.connection.expire()
    server.client.close()
    if server.connections:
        server.turn()
    assert server.is_gone
    assert re.fullmatch(told, "".join(log.lines()))


def test_after_a_refusal_the_client_may_finish_sending_and_reads_why(server: Server) -> None:
    server.client.send(b"nonsense\r\n\r\n" + b"x" * 1000)
    server.turn()
    assert server.waits_for() is Writing.LINGERING
    server.client.send(b"x" * 1000)
    server.turn()
    assert server.receive_all().startswith(b"HTTP/1.1 400 ")
    assert not server.is_gone
    server.client.close()
    server.turn()
    assert server.is_gone


def test_lingering_drops_only_so_much(server: Server) -> None:
    server.client.send(b"nonsense\r\n\r\n")
    server.turn()
    for _ in range(MOST_DROPPED // 4096):
        assert not server.is_gone
        server.client.send(b"x" * 4096)
        server.turn()
    assert server.is_gone


def test_a_wake_without_anything_to_drop_does_nothing(server: Server) -> None:
    server.client.send(b"nonsense\r\n\r\n")
    server.turn()
    server.connection.on_lingering(READABLE)
    assert not server.is_gone


def test_a_reset_ends_lingering(tcp: Server) -> None:
    tcp.client.send(b"nonsense\r\n\r\n")
    tcp.turn()
    reset(tcp.client)
    tcp.turn()
    assert tcp.is_gone


def test_who_has_reset_the_connection_is_not_lingered_for(tcp: Server) -> None:
    reset(tcp.client)
    tcp.connection._linger()
    assert tcp.is_gone


def test_lingering_ends_when_its_time_is_up(server: Server) -> None:
    server.client.send(b"nonsense\r\n\r\n")
    server.turn()
    server.connection.expire()
    assert server.is_gone


def test_the_time_of_lingering_begins_with_it_however_long_the_connection_was_idle(server: Server) -> None:
    server.connection.since = 0.0
    server.connection.drain()
    server.connection.close_idle()
    assert (server.waits_for(), server.connection.since) == (Writing.LINGERING, server.loop.now)


@pytest.mark.parametrize("sent", [GET, CLOSING])
def test_an_answer_that_is_whole_here_and_not_in_the_kernel_ends_with_a_reset(sent: bytes) -> None:
    server = Server(LARGE * 10, tcp=True)
    server.client.send(sent)
    server.turn(3)
    assert (server.waits_for(), server.connection._protocol.is_streaming) == (Writing.ANSWER, False)
    server.connection.expire()
    received_until_reset(server)
    server.close()
