"""What happens in the chaos follows from the seed, and what the log says of it is judged."""

from itertools import accumulate

import pytest

from tests.loss.chaos import FEWEST, MOST, Chaos, plan, unasked
from tests.loss.trial import WORKERS


def test_a_seed_always_gives_the_same_steps_and_another_one_others() -> None:
    assert plan(Chaos(1)) == plan(Chaos(1)) != plan(Chaos(2))


@pytest.mark.parametrize("seed", range(20))
def test_the_workers_stay_within_bounds(seed: int) -> None:
    changes = [(step.what == "grow") - (step.what == "shrink") for step in plan(Chaos(seed))]
    assert all(FEWEST <= count <= MOST for count in accumulate(changes, initial=WORKERS))


def test_nobody_is_killed_where_that_is_not_wanted() -> None:
    kinds = [{step.what for step in plan(Chaos(1, kills=kills))} for kills in (True, False)]
    assert kinds[0] - kinds[1] == {"kill"}


KILLED = 'worker exited slot=1 pid=2 generation=3 reason="killed by SIGKILL, with 3 connections"\n'
LEFT = 'worker exited slot=1 pid=2 generation=3 reason="exit status 0"\n'


def test_workers_may_end_by_themselves_or_be_killed_by_the_test() -> None:
    assert unasked(LEFT * 5 + KILLED * 2, 2) == []
    assert unasked(LEFT + KILLED * 2, 1) == ["1 workers: killed by SIGKILL"]
    assert unasked(LEFT.replace("0", "1"), 1) == ["1 workers: exit status 1"]


def test_what_is_cut_is_told() -> None:
    line = 'warning connections cut count=1 reason="graceful_timeout passed"'
    assert unasked(f"info ready\n{line}\n", 0) == [line]
