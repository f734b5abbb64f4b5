"""Noting what is being answered."""

import os
from collections.abc import Iterator
from time import monotonic_ns

import pytest

from prefork.apps.note import Note
from prefork.http.messages import Request
from prefork.ipc.scoreboard import HEARTBEAT, LONGEST_NOTE, Row, Scoreboard


@pytest.fixture
def row() -> Iterator[Row]:
    scoreboard = Scoreboard()
    yield scoreboard.take()
    os.close(scoreboard.fd)


def get(target: bytes) -> Request:
    return Request(b"GET", target, 1, b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)


@pytest.mark.parametrize(
    ("target", "noted"), [(b"/a?b", "GET /a?b"), (b"/" + b"x" * 200, "GET /" + "x" * (LONGEST_NOTE - 5))]
)
def test_a_request_is_noted_over_the_one_before(row: Row, target: bytes, noted: str) -> None:
    note = Note(row)
    note.tell(get(b"/a/longer/one"))
    note.tell(get(target))
    assert row.noted == noted


def test_the_heart_beats_when_it_is_due(row: Row) -> None:
    note, request = Note(row), get(b"/")
    note.tell(request)
    assert 0 <= monotonic_ns() - row[HEARTBEAT] < 5e9
    assert note.due > 0
    row[HEARTBEAT] = 0
    note.due = float("inf")
    note.tell(request)
    assert row[HEARTBEAT] == 0
    note.due = 0.0
    note.tell(request)
    assert row[HEARTBEAT] > 0


def test_without_a_row_nothing_is_ever_due() -> None:
    note = Note()
    note.tell(get(b"/"))
    assert (note.latest, note.due) == (None, float("inf"))
