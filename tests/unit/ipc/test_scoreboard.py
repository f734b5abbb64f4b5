"""Rows and their notes, in real shared memory."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.ipc.scoreboard import ACCEPTING, CONNECTIONS, LARGEST, LONGEST_NOTE, ROWS, Scoreboard


@pytest.fixture
def scoreboard() -> Iterator[Scoreboard]:
    scoreboard = Scoreboard()
    yield scoreboard
    os.close(scoreboard.fd)


def test_what_one_writes_the_other_reads(scoreboard: Scoreboard) -> None:
    other = Scoreboard(os.dup(scoreboard.fd))
    row = scoreboard.take()
    row[CONNECTIONS] = 7
    row.note(b"GET /")
    same = other.take(row.number)
    assert (same[CONNECTIONS], same.noted) == (7, "GET /")
    os.close(other.fd)


def test_all_rows_are_apart(scoreboard: Scoreboard) -> None:
    rows = [scoreboard.take() for _ in range(ROWS)]
    for number, row in enumerate(rows):
        row[ACCEPTING] = row[CONNECTIONS] = number
        row.note(b"%d" % number)
    assert [(row[CONNECTIONS], row.noted) for row in rows] == [(number, str(number)) for number in range(ROWS)]
    assert scoreboard.connections(1) == list(range(1, ROWS))


def test_a_row_that_is_given_back_is_empty_when_it_is_taken_again(scoreboard: Scoreboard) -> None:
    row = scoreboard.take()
    row[CONNECTIONS] = 7
    row.note(b"GET /")
    scoreboard.give_back(row)
    again = scoreboard.take()
    assert (again.number, again[CONNECTIONS], again.noted) == (row.number, 0, "")


def test_a_number_that_is_too_large_is_the_largest(scoreboard: Scoreboard) -> None:
    row = scoreboard.take()
    row[CONNECTIONS] = LARGEST + 1
    assert row[CONNECTIONS] == LARGEST


@given(note=st.binary(max_size=LONGEST_NOTE * 2))
def test_a_note_is_its_beginning_and_nothing_of_the_one_before(note: bytes) -> None:
    scoreboard = Scoreboard()
    row, neighbour = scoreboard.take(), scoreboard.take()
    row.note(b"x" * LONGEST_NOTE)
    neighbour.note(b"neighbour")
    row.note(note)
    kept = note[:LONGEST_NOTE].partition(b"\0")[0]
    assert row.noted == kept.decode("ascii", "backslashreplace")
    assert neighbour.noted == "neighbour"
    os.close(scoreboard.fd)
