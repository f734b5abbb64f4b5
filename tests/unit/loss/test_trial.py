"""A result is right or wrong by what the action may cost, and several results add up."""

from tests.loss.actions import ACTIONS
from tests.loss.report import summary, table
from tests.loss.tally import Outcome, Tally
from tests.loss.trial import Result, Trial, total

BY_NAME = {each.name: each for each in ACTIONS}


def result(action: str, *outcomes: Outcome, queued: int = 0) -> Result:
    tally = Tally()
    for outcome in outcomes:
        tally.count(outcome)
        tally.note(outcome, f"a note about {outcome.value}")
    return Result(Trial("prefork", BY_NAME[action], "shared"), 1, 2.0, tally, queued, "the log")


def test_a_reload_may_cost_nothing() -> None:
    assert result("reload", Outcome.OK, Outcome.ANNOUNCED).problems == []
    assert result("reload", Outcome.OK, Outcome.CLOSED_IDLE).problems == ["1 closed while idle"]
    assert result("reload", Outcome.LOST, Outcome.LOST).problems == ["2 lost"]


def test_a_stop_may_refuse_and_close_and_never_lose() -> None:
    assert result("stop", Outcome.REFUSED, Outcome.CLOSED_IDLE).problems == []
    assert result("stop", Outcome.TRUNCATED).problems == ["1 truncated"]


def test_a_killed_worker_may_cost_what_it_held_and_what_was_on_its_way_to_it() -> None:
    assert result("kill", Outcome.HELD, Outcome.HELD).problems == []
    assert result("kill", Outcome.LOST, Outcome.CLOSED_IDLE, queued=2).problems == []
    assert result("kill", Outcome.LOST, Outcome.CLOSED_IDLE, queued=1).problems == ["1 lost", "1 closed while idle"]
    assert result("kill", Outcome.REFUSED, queued=1).problems == ["1 refused"]


def test_results_add_up() -> None:
    both = total([result("kill", Outcome.LOST, queued=1), result("kill", Outcome.LOST, Outcome.OK, queued=2)])
    assert (both.actions, both.queued, both.tally[Outcome.LOST], both.tally[Outcome.OK]) == (2, 3, 2, 1)
    assert len(both.tally.notes([Outcome.LOST])) == 2


def test_a_summary_tells_what_was_seen_only_of_what_is_wrong() -> None:
    wrong = result("stop", Outcome.LOST, Outcome.CLOSED_IDLE)
    assert "a note about lost" in summary(wrong)
    assert "a note about closed while idle" not in summary(wrong)
    assert "the log" not in summary(result("stop", Outcome.OK))


def test_a_table_has_a_row_for_each_result() -> None:
    lines = table([result("reload", Outcome.OK), result("stop")]).splitlines()
    assert (
        lines[0]
        == "| server | accept | action | times | ok | refused | lost | truncated | wrong | closed while idle | held by a killed worker | announced |"
    )
    assert lines[2] == "| prefork | shared | reload | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |"
    assert len(lines) == 4
