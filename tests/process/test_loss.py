"""Clients of every kind lose nothing while the service is reloaded, resized, recycled and stopped.

The same as `python -m tests.loss` does, shorter.
"""

import pytest

from tests.loss import report
from tests.loss.actions import ACTIONS, Action
from tests.loss.service import Unsupported
from tests.loss.tally import Outcome
from tests.loss.trial import Result, Trial, run

TIMES = {"recycle": 4, "kill": 4, "stop": 1}
OTHERWISE = 8
BY_NAME = {each.name: each for each in ACTIONS}


def outcome(trial: Trial) -> Result:
    """Try an action a few times, and show what came of it."""
    try:
        result = run(trial)
    except Unsupported as unsupported:
        pytest.skip(f"{trial.action.name}: {unsupported}")
    print(report.summary(result))  # noqa: T201 - pytest shows it where the test failed
    return result


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["reuseport", "shared"])
@pytest.mark.parametrize("action", ACTIONS, ids=[each.name for each in ACTIONS])
def test_clients_lose_nothing_that_the_action_does_not_cost(action: Action, accept: str) -> None:
    times = TIMES.get(action.name, OTHERWISE)
    result = outcome(Trial("prefork", action, accept, clients=2, idle=10, count=times, seconds=6.0))
    assert result.actions > 0
    assert result.tally[Outcome.OK] > 0
    assert result.problems == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_reloads_without_a_pause_close_none_of_two_thousand_idle_connections(workers: int) -> None:
    trial = Trial("prefork", BY_NAME["reload"], "reuseport", clients=1, idle=1000, count=10, pause=0.0, workers=workers)
    assert outcome(trial).problems == []


@pytest.mark.slow
def test_clients_notice_when_a_worker_is_killed() -> None:
    tally = outcome(Trial("prefork", BY_NAME["kill"], "reuseport", clients=2, idle=10, count=4)).tally
    assert tally[Outcome.HELD] > 0
