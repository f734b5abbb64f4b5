"""When a worker that doesn't beat is thought to hang, and what excuses it."""

import os
import signal
from collections.abc import Iterator, Mapping

import pytest

from prefork.ipc.channel import channel_pair
from prefork.ipc.scoreboard import HEARTBEAT, Scoreboard
from prefork.master.heartbeats import Heartbeats
from prefork.master.processes import Process, fork_child
from prefork.master.stacks import Stacks

TIMEOUT = 8.0  # so that it is checked every two seconds


@pytest.fixture
def scoreboard() -> Iterator[Scoreboard]:
    one = Scoreboard()
    yield one
    one.close()


@pytest.fixture
def workers(scoreboard: Scoreboard) -> Iterator[Mapping[int, Process]]:
    """Two that have beaten at 100.0, and are this process."""
    ours, theirs = channel_pair()
    ours.close()
    theirs.close()
    both = {key: Process(os.getpid(), -1, ours, scoreboard.take(), set(), Stacks(-1)) for key in (0, 1)}
    for each in both.values():
        beat(each, 100.0)
    yield both
    for each in both.values():
        scoreboard.give_back(each.row)


def beat(worker: Process, now: float) -> None:
    worker.row[HEARTBEAT] = int(now * 1e9)


def late(heartbeats: Heartbeats, workers: Mapping[int, Process], now: float) -> list[int]:
    return heartbeats.late(lambda: workers, TIMEOUT, now)


def test_one_that_has_not_beaten_for_longer_than_the_timeout_hangs(workers: Mapping[int, Process]) -> None:
    heartbeats = Heartbeats()
    assert [late(heartbeats, workers, now) for now in (100.0, 102.0, 104.0, 106.0, 108.0)] == [[]] * 5
    beat(workers[1], 109.0)
    assert late(heartbeats, workers, 110.0) == [0]
    beat(workers[0], 111.0)
    assert late(heartbeats, workers, 112.0) == []


def test_nobody_is_looked_at_before_it_is_time(workers: Mapping[int, Process]) -> None:
    heartbeats = Heartbeats()
    for now in (100.0, 104.0, 108.0):
        late(heartbeats, workers, now)
    assert heartbeats.next_check(TIMEOUT) == 110.0
    assert late(heartbeats, workers, 109.9) == []
    assert late(heartbeats, workers, 110.0) == [0, 1]
    assert heartbeats.next_check(TIMEOUT) == 112.0


def test_without_a_timeout_nobody_is_ever_looked_at(workers: Mapping[int, Process]) -> None:
    heartbeats = Heartbeats()
    assert heartbeats.next_check(0.0) is None
    assert heartbeats.late(lambda: workers, 0.0, 1000.0) == []


def test_all_have_their_time_again_when_the_master_was_not_running(workers: Mapping[int, Process]) -> None:
    heartbeats = Heartbeats()
    for now in (100.0, 102.0, 107.0, 109.0, 111.0, 113.0, 115.0):
        assert late(heartbeats, workers, now) == []
    assert late(heartbeats, workers, 117.0) == [0, 1]


def test_one_that_is_stopped_has_its_time_again_when_it_goes_on(workers: Mapping[int, Process]) -> None:
    pid = fork_child(signal.pause)
    try:
        stopped = {0: Process(pid, -1, workers[0].channel, workers[0].row, set(), Stacks(-1)), 1: workers[1]}
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        heartbeats = Heartbeats()
        for now in (100.0, 102.0, 104.0, 106.0):
            assert late(heartbeats, stopped, now) == []
        os.kill(pid, signal.SIGCONT)
        os.waitpid(pid, os.WCONTINUED)
        assert [late(heartbeats, stopped, now) for now in (108.0, 110.0, 112.0, 114.0)] == [[], [1], [1], [1]]
        assert late(heartbeats, stopped, 116.0) == [0, 1]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_an_excuse_ends_with_who_had_it(workers: Mapping[int, Process]) -> None:
    beat(workers[0], 90.0)
    heartbeats = Heartbeats()
    assert late(heartbeats, workers, 100.0) == []
    assert late(heartbeats, {1: workers[1]}, 102.0) == []
    assert late(heartbeats, workers, 104.0) == [0]
