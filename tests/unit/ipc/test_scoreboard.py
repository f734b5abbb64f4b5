"""Rows and their notes, in real shared memory."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.ipc.scoreboard import (
    ACCEPTING,
    BUSY,
    CONNECTIONS,
    LARGEST,
    LONGEST_NOTE,
    NOTES,
    REASONS,
    ROWS,
    SIZE,
    Scoreboard,
)


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
    row.note_longest(b"GET /long HTTP/1.1\r\n", 2.0)
    same = other.take(row.number)
    assert (same[CONNECTIONS], same.noted, same.longest, same[BUSY]) == (7, "GET /", "GET /long", 2e9)
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
    row.note_longest(b"GET /long", 2.0)
    scoreboard.give_back(row)
    again = scoreboard.take()
    assert (again.number, again[CONNECTIONS], again.noted, again.longest, again[BUSY]) == (row.number, 0, "", "", 0)


@pytest.mark.parametrize(("since", "seconds"), [(0.0, 0.0), (100.0, 0.0), (98.5, 0.0), (90.0, 10.0), (101.0, 0.0)])
def test_a_thread_is_busy_when_a_request_has_kept_it_for_longer_than_is_usual(
    scoreboard: Scoreboard, since: float, seconds: float
) -> None:
    row = scoreboard.take()
    row.note_longest(b"GET /long", since)
    assert row.busy_for(100.0) == seconds


def test_a_row_may_be_taken_by_its_number_and_those_that_are_free_come_in_order(scoreboard: Scoreboard) -> None:
    rows = [scoreboard.take(3), scoreboard.take(), scoreboard.take()]
    assert [row.number for row in rows] == [3, 0, 1]
    for row in rows:
        row[ACCEPTING] = row[CONNECTIONS] = row.number + 1
    assert scoreboard.connections(1) == [1, 2, 4]


def test_there_are_no_more_rows_than_there_are(scoreboard: Scoreboard) -> None:
    for _ in range(ROWS):
        scoreboard.take()
    with pytest.raises(OSError, match="the scoreboard is full"):
        scoreboard.take()


def test_a_number_that_is_too_large_is_the_largest(scoreboard: Scoreboard) -> None:
    row = scoreboard.take()
    row[CONNECTIONS] = LARGEST + 1
    assert row[CONNECTIONS] == LARGEST


def test_counts_are_those_of_the_living_and_of_the_dead(scoreboard: Scoreboard) -> None:
    first, second = scoreboard.take(), scoreboard.take()
    first.count(0, 2)
    second.count(0, 3)
    second.count(REASONS - 1, 1)
    scoreboard.give_back(second)
    assert scoreboard.take().number == second.number
    first.count(0, 4)
    assert (scoreboard.counts()[0], scoreboard.counts()[1], scoreboard.counts()[-1]) == (9, 0, 1)
    scoreboard.give_back(first)
    assert (scoreboard.counts()[0], scoreboard.counts()[-1]) == (9, 1)


def test_the_counts_of_the_last_row_are_apart_from_the_others(scoreboard: Scoreboard) -> None:
    rows = [scoreboard.take() for _ in range(ROWS)]
    rows[-1].count(REASONS - 1, 5)
    rows[0].count(0, 7)
    scoreboard.give_back(rows[-1])
    assert scoreboard.counts() == [7, *[0] * (REASONS - 2), 5]


def test_a_count_that_is_too_large_is_the_largest(scoreboard: Scoreboard) -> None:
    rows = [scoreboard.take() for _ in range(2)]
    for row in rows:
        row.count(1, LARGEST)
        row.count(1, 1)
    assert scoreboard.counts()[1] == LARGEST
    for row in rows:
        scoreboard.give_back(row)
    assert scoreboard.counts()[1] == LARGEST


@pytest.mark.parametrize("size", [NOTES, SIZE * 2])
def test_another_version_may_have_made_it_smaller_or_larger(scoreboard: Scoreboard, size: int) -> None:
    fd = os.memfd_create("scoreboard")
    os.ftruncate(fd, size)
    other = Scoreboard(fd)
    assert os.fstat(fd).st_size == max(size, SIZE)
    other.take().count(3, 1)
    assert other.counts()[3] == 1
    os.close(fd)


@given(note=st.binary(max_size=LONGEST_NOTE * 2))
def test_a_note_is_its_beginning_and_nothing_of_the_one_before(note: bytes) -> None:
    scoreboard = Scoreboard()
    row, neighbour = scoreboard.take(), scoreboard.take()
    row.note(b"x" * LONGEST_NOTE)
    neighbour.note(b"neighbour")
    row.note(note)
    kept = note[:LONGEST_NOTE].partition(b"\0")[0].partition(b" HTTP/")[0]
    assert row.noted == kept.decode("ascii", "backslashreplace")
    assert neighbour.noted == "neighbour"
    os.close(scoreboard.fd)
