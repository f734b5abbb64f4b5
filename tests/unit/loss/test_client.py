"""Each thing that a server can do to a client is counted as what it is; the servers here are a few scripted bytes."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from tests.loss import wire
from tests.loss.client import Client
from tests.loss.kinds import GET, HEAD, KINDS, LAST_GET, Kind, split
from tests.loss.tally import Outcome, Tally

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!"
HEAD_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n"
LAST_ANSWER = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
KEEP_ALIVE = Kind("keep-alive", [GET], rest=0.3)
PIPELINED = Kind("pipelined", [GET * 3], ["GET"] * 3)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(*answers: bytes, reset: bool = False, then_wait: bool = False) -> Serve:
    """Return a server that sends each of the answers after one request, and then closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if not await reader.read(65536):
                return
            writer.write(answer)
        if then_wait:
            await reader.read()
        if reset:
            writer.transport.abort()

    return serve


def outcomes(kind: Kind, serve: Serve, *, turns: int = 1, stopping: bool = False) -> Counter[Outcome]:
    """Return what a client counts that asks so many times."""
    return asyncio.run(play(kind, serve, turns=turns, stopping=stopping))


async def play(kind: Kind, serve: Serve, *, turns: int, stopping: bool) -> Counter[Outcome]:
    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    tally = Tally()
    async with await asyncio.start_server(serve_and_close, "127.0.0.1", 0) as server:
        season = SimpleNamespace(running=True, stopping=stopping, doomed=set())
        client = Client(kind, ("127.0.0.1", server.sockets[0].getsockname()[1]), season, tally)
        for _ in range(turns):
            await client._turn()
        client._close()
    return Counter({outcome: tally[outcome] for outcome in Outcome if tally[outcome]})


def test_an_answer_is_ok() -> None:
    assert outcomes(Kind("new", [LAST_GET], stays=False), answering(LAST_ANSWER)) == {Outcome.OK: 1}


def test_a_request_that_the_server_closes_on_is_lost() -> None:
    assert outcomes(KEEP_ALIVE, answering(b"")) == {Outcome.LOST: 1}


def test_a_request_that_the_server_resets_is_lost() -> None:
    assert outcomes(KEEP_ALIVE, answering(b"", reset=True)) == {Outcome.LOST: 1}


def test_a_request_of_which_the_server_takes_only_a_part_is_lost() -> None:
    assert outcomes(Kind("half", split(GET, 18), pause=0.05), answering(b"")) == {Outcome.LOST: 1}


def test_a_request_that_is_not_answered_in_time_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.5)
    assert outcomes(KEEP_ALIVE, answering(b"", then_wait=True)) == {Outcome.LOST: 1}


@pytest.mark.parametrize("length", [1, 20, len(ANSWER) - 1])
def test_an_answer_that_ends_too_early_is_truncated(length: int) -> None:
    assert outcomes(KEEP_ALIVE, answering(ANSWER[:length])) == {Outcome.TRUNCATED: 1}


def test_pipelined_requests_that_end_together_count_once() -> None:
    assert outcomes(PIPELINED, answering(ANSWER)) == {Outcome.OK: 1, Outcome.LOST: 1}
    assert outcomes(PIPELINED, answering(ANSWER + ANSWER[:30])) == {Outcome.OK: 1, Outcome.TRUNCATED: 1}


WRONG = {
    "status": ANSWER.replace(b"200", b"500"),
    "body": ANSWER.replace(b"world", b"wrold"),
    "length": ANSWER.replace(b"13", b"12"),
    "no length": ANSWER.replace(b"Content-Length", b"X-Length"),
    "no HTTP": b"what?\r\n\r\n",
    "two answers": ANSWER * 2,
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_another_answer_than_is_due_is_wrong(answer: bytes) -> None:
    assert outcomes(KEEP_ALIVE, answering(answer, then_wait=True))[Outcome.WRONG] == 1


def test_answers_in_another_order_are_wrong() -> None:
    kind = Kind("pipelined", [GET + HEAD], ["GET", "HEAD"])
    assert outcomes(kind, answering(ANSWER + HEAD_ANSWER, then_wait=True)) == {Outcome.OK: 2}
    assert outcomes(kind, answering(HEAD_ANSWER + ANSWER, then_wait=True)) == {Outcome.WRONG: 1}


def test_a_connection_that_is_closed_while_it_rests_is_closed_while_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 1.0)  # the longest rest
    assert outcomes(KEEP_ALIVE, answering(ANSWER)) == {Outcome.OK: 1, Outcome.CLOSED_IDLE: 1}


def test_a_close_that_the_answer_announced_is_no_trouble() -> None:
    assert outcomes(KEEP_ALIVE, answering(LAST_ANSWER)) == {Outcome.OK: 1, Outcome.ANNOUNCED: 1}
    assert outcomes(PIPELINED, answering(LAST_ANSWER)) == {Outcome.OK: 1, Outcome.ANNOUNCED: 1}


def test_what_is_sent_after_the_server_was_told_to_stop_is_refused_and_not_lost() -> None:
    assert outcomes(KEEP_ALIVE, answering(b""), stopping=True) == {Outcome.REFUSED: 1}


def test_a_connection_that_nobody_accepts_is_refused() -> None:
    tally = Tally()
    client = Client(KEEP_ALIVE, "/nowhere/sock", SimpleNamespace(running=True, stopping=True, doomed=set()), tally)
    asyncio.run(client.run())
    assert tally[Outcome.REFUSED] == 1


@pytest.mark.parametrize("kind", KINDS, ids=[each.name for each in KINDS])
def test_each_kind_is_due_an_answer_to_each_of_its_requests(kind: Kind) -> None:
    lines = b"".join(kind.pieces).split(b"\r\n")
    sent = [line.split()[0] for line in lines if line.endswith(b" HTTP/1.1")]
    assert [each == b"HEAD" for each in sent] == [each == "HEAD" for each in kind.methods]
