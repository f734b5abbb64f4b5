"""Noting what is being answered."""

import os
from collections.abc import Iterator
from time import monotonic_ns

import pytest

from prefork.apps.instant import instant
from prefork.http.answers import Answer, Head, Stream
from prefork.http.content import Content
from prefork.http.messages import Peer, Request, Response
from prefork.ipc.scoreboard import HEARTBEAT, LONGEST_NOTE, Row, Scoreboard
from prefork.worker.noting import noting

PEER = Peer(b"127.0.0.1")
REQUEST = Request(b"GET", b"/", 1, b"")


@pytest.fixture
def row() -> Iterator[Row]:
    scoreboard = Scoreboard()
    yield scoreboard.take()
    os.close(scoreboard.fd)


@pytest.mark.parametrize(
    ("target", "noted"), [(b"/a?b", "GET /a?b"), (b"/" + b"x" * 200, "GET /" + "x" * (LONGEST_NOTE - 5))]
)
def test_a_request_is_noted_before_it_is_answered(row: Row, target: bytes, noted: str) -> None:
    seen: list[str] = []

    def respond(_request: Request, _peer: Peer, _content: Content | None) -> Answer:
        seen.append(row.noted)
        return Response(204)

    asked = noting(respond, row)
    for request in (REQUEST, *[Request(b"GET", target, 1, b"")] * 2):
        asked(request, PEER, None)
    assert seen == ["GET /", noted, noted]


def test_the_heart_beats_while_requests_are_answered(row: Row) -> None:
    noting(lambda _request, _peer, _content: Response(204), row)(REQUEST, PEER, None)
    assert 0 <= monotonic_ns() - row[HEARTBEAT] < 5e9


def test_an_application_that_never_waits_costs_nothing_more(row: Row) -> None:
    respond = instant(lambda _request, _peer, _content: Response(200))
    assert noting(respond, row) is respond


def test_a_request_is_noted_again_when_its_answer_goes_on(row: Row) -> None:
    pieces = [b"one", b"two"]
    stream = Stream(Head(200, b""), lambda: pieces.pop(0), bool)
    respond = noting(lambda request, _peer, _content: stream if request is REQUEST else Response(204), row)
    assert respond(REQUEST, PEER, None) is stream
    assert stream.pull() == b"one"
    respond(Request(b"GET", b"/other", 1, b""), PEER, None)
    row[HEARTBEAT] = 0
    assert stream.pull() == b"two"
    assert row.noted == "GET /"


def test_the_heart_beats_while_an_answer_goes_on(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefork.worker.noting.INTERVAL", 0.0)
    stream = Stream(Head(200, b""), lambda: b"piece", bool)
    noting(lambda _request, _peer, _content: stream, row)(REQUEST, PEER, None)
    row[HEARTBEAT] = 0
    stream.pull()
    assert 0 <= monotonic_ns() - row[HEARTBEAT] < 5e9
