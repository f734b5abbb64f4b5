"""Whether a worker leaves what comes to the others, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.ipc.scoreboard import ACCEPTING, CONNECTIONS, Scoreboard
from prefork.worker.balancing import LONGEST_PAUSE, MARGIN, PAUSE, SLACK, pause, pause_of
from prefork.worker.loop import Loop
from tests.unit.worker.test_crowd import crowd_of

counts = st.lists(st.integers(0, 10_000), min_size=1, max_size=64)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1, 0, 0, 0], 0),
        ([2, 0, 0, 0], 1.5 * PAUSE),
        ([3, 3, 3, 3], 0),
        ([256, 248, 248, 248], 0),
        ([268, 244, 244, 244], 18 * PAUSE),
        ([800, 0, 0, 0], LONGEST_PAUSE),
        ([100], 0),
    ],
)
def test_who_is_ahead_pauses_the_longer_the_more(counts: list[int], expected: float) -> None:
    assert pause_of(counts[0], counts) == pytest.approx(expected)


@given(counts)
def test_never_do_all_pause(counts: list[int]) -> None:
    assert not all(pause_of(each, counts) for each in counts)


@given(counts)
def test_whoever_goes_on_is_ahead_by_the_margin_at_most(counts: list[int]) -> None:
    mean = sum(counts) / len(counts)
    assert all(pause_of(each, counts) or each <= mean + MARGIN + mean * SLACK for each in counts)


def test_where_nobody_is_known_to_accept_nobody_pauses() -> None:
    assert pause_of(5, []) == 0


def test_only_those_count_that_have_accepted_of_late() -> None:
    scoreboard = Scoreboard()
    rows = [scoreboard.take() for _ in range(4)]
    for number, row in enumerate(rows):
        row[CONNECTIONS] = number
        row[ACCEPTING] = 100
    rows[0][ACCEPTING] = 99  # hangs
    rows[1][ACCEPTING] = 0  # leaves
    assert scoreboard.connections(100) == [2, 3]
    scoreboard.give_back(rows[2])
    assert scoreboard.connections(100) == [3]
    assert scoreboard.take().number == 2
    assert scoreboard.connections(0) == [0, 1, 0, 3]


@pytest.mark.parametrize(("own", "expected"), [(0, 0), (1, 0), (5, 2 * PAUSE)])
def test_a_worker_compares_itself_with_those_that_have_beaten_of_late(own: int, expected: float) -> None:
    scoreboard, loop = Scoreboard(), Loop()
    loop.now = 100.0
    for count, beaten in ((own, 100.0), (1, 97.0), (0, 95.0)):
        row = scoreboard.take()
        row[CONNECTIONS], row[ACCEPTING] = count, int(beaten * 1e9)
    connections = crowd_of(loop, [b"192.0.2.1"] * own)
    assert pause(scoreboard, loop, connections) == pytest.approx(expected)
    for connection in list(connections):
        connection.close()
    scoreboard.close()
    loop.close()
