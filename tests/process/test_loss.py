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


def outcome(action: Action, accept: str) -> Result:
    """Try an action a few times, and show what came of it."""
    times = TIMES.get(action.name, OTHERWISE)
    try:
        result = run(Trial("prefork", action, accept, clients=2, count=times, seconds=6.0))
    except Unsupported as unsupported:
        pytest.skip(f"{action.name}: {unsupported}")
    print(report.summary(result))  # noqa: T201 - pytest shows it where the test failed
    return result


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["reuseport", "shared"])
@pytest.mark.parametrize("action", ACTIONS, ids=[each.name for each in ACTIONS])
def test_clients_lose_nothing_that_the_action_does_not_cost(action: Action, accept: str) -> None:
    result = outcome(action, accept)
    assert result.actions > 0
    assert result.tally[Outcome.OK] > 0
    assert result.problems == []


@pytest.mark.slow
def test_clients_notice_when_a_worker_is_killed() -> None:
    killed = next(each for each in ACTIONS if each.name == "kill")
    tally = outcome(killed, "reuseport").tally
    assert tally[Outcome.LOST] + tally[Outcome.TRUNCATED] > 0
    assert tally[Outcome.CLOSED_IDLE] > 0
