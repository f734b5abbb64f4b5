"""Noting what is being answered."""

import os
from collections.abc import Iterator

import pytest

from prefork.apps.instant import instant
from prefork.http.messages import Request, Response
from prefork.ipc.scoreboard import LONGEST_NOTE, Row, Scoreboard
from prefork.worker.noting import noting


@pytest.fixture
def row() -> Iterator[Row]:
    scoreboard = Scoreboard()
    yield scoreboard.take()
    os.close(scoreboard.fd)


@pytest.mark.parametrize(
    ("target", "noted"), [(b"/a?b", "GET /a?b"), (b"/" + b"x" * 200, "GET /" + "x" * (LONGEST_NOTE - 5))]
)
def test_a_request_is_noted_as_long_as_it_is_answered(row: Row, target: bytes, noted: str) -> None:
    seen: list[str] = []

    def respond(_request: Request) -> Response:
        seen.append(row.noted)
        return Response(204)

    assert noting(respond, row)(Request(b"GET", target, 1, b"")).status == 204
    assert (seen, row.noted) == ([noted], "")


def test_the_note_ends_with_an_application_that_fails(row: Row) -> None:
    def respond(_request: Request) -> Response:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        noting(respond, row)(Request(b"GET", b"/", 1, b""))
    assert row.noted == ""


def test_an_application_that_never_waits_costs_nothing_more(row: Row) -> None:
    respond = instant(lambda _request: Response(200))
    assert noting(respond, row) is respond
