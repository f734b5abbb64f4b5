"""The service stands random kills, stops, reloads, resizes and upgrades under load; `python -m tests.loss --chaos`."""

import pytest

from tests.loss import chaos
from tests.loss.chaos import Chaos
from tests.loss.tally import Outcome


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_in_chaos_only_what_killed_workers_held_is_missing_and_nothing_is_left_over(accept: str) -> None:
    outcomes = chaos.run(Chaos(seed=1, seconds=7.0, accept=accept, clients=2, idle=10))
    print(chaos.summary(outcomes))  # noqa: T201 - pytest shows it where the test failed
    assert outcomes.tally[Outcome.HELD] > 0
    assert outcomes.wrong == []


@pytest.mark.slow
def test_in_chaos_without_kills_each_answer_is_in_the_access_log_once() -> None:
    outcomes = chaos.run(Chaos(seed=2, seconds=7.0, clients=2, idle=10, kills=False))
    print(chaos.summary(outcomes))  # noqa: T201 - pytest shows it where the test failed
    assert outcomes.wrong == []
    assert outcomes.logged == outcomes.tally[Outcome.OK] > 0
