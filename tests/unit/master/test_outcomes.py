"""Who waits for what, and what ends the waiting: fleets as the supervisor makes them, no processes."""

import pytest

from prefork.ipc.control import Answer, Reload, Request, Stop, Upgrade, Workers
from prefork.master.fleet import (
    Ending,
    Event,
    Finish,
    Fleet,
    ReloadAsked,
    Reloaded,
    ReloadFailed,
    ResizeAsked,
    Respawn,
    Retire,
    Spawn,
    Spawned,
    StopAsked,
    Wanted,
    WorkerExited,
    WorkerLeft,
    WorkerReady,
)
from prefork.master.outcomes import UpgradeFailed, Waiting, outcome, resumed, start_error, waiting
from prefork.master.supervisor import decide
from prefork.version import VERSION

STOPPING = Answer("the service is stopping", 1)


class Told:
    """A fleet whose workers get ready when told to, and those who wait for it."""

    def __init__(self) -> None:
        self.fleet = Fleet(Wanted(workers=2))
        self.answers: dict[Request, Answer] = {}
        self._waiting: list[Waiting] = []
        self._spawned: list[int] = []

    def ask(self, request: Request, *events: Event) -> "Told":
        """Have somebody ask for something, of which these events come at once."""
        self._waiting.append(waiting(request, self.fleet))
        return self.happen(*events)

    def happen(self, *events: Event) -> "Told":
        for event in events:
            self.fleet, actions = decide(self.fleet, event, 0.0)
            found = ((each.request, outcome(each, self.fleet, actions)) for each in self._waiting)
            self.answers = {request: answer for request, answer in found if answer is not None} | self.answers
            for action in actions:
                if isinstance(action, Spawn):
                    self._spawned.append(action.key)
                    self.happen(Spawned(action.key))
                if isinstance(action, Retire):
                    self.happen(WorkerLeft(action.key))
        return self

    def all_get_ready(self) -> "Told":
        while self._spawned:
            key = self._spawned.pop(0)
            if key in self.fleet.places:
                self.happen(WorkerReady(key))
        return self

    def all_fail(self, reason: str) -> "Told":
        for key in list(self._spawned):
            if key in self.fleet.places:
                self.happen(WorkerExited(key, reason))
        return self


def serving() -> Told:
    return Told().happen(ResizeAsked(2)).all_get_ready()


def generation(number: int) -> ReloadAsked:
    return ReloadAsked(Wanted(workers=2, generation=number))


def test_a_reload_is_answered_when_all_workers_are_new() -> None:
    told = serving().ask(Reload(), generation(2))
    assert told.answers == {}
    told.all_get_ready()
    assert told.answers == {Reload(): Answer("reloaded: generation 2, 2 workers ready")}


def test_a_reload_that_changes_what_only_a_restart_can_says_so() -> None:
    told = serving().ask(Reload(), ReloadAsked(Wanted(workers=2, generation=2, at_restart=("user", "name"))))
    told.all_get_ready()
    said = "reloaded: generation 2, 2 workers ready; only a restart changes user, name"
    assert told.answers == {Reload(): Answer(said)}


def test_a_reload_whose_workers_fail_is_answered_with_the_reason() -> None:
    told = serving().ask(Reload(), generation(2)).all_fail("exit status 3")
    assert told.answers == {Reload(): Answer("reload failed, generation 1 goes on: exit status 3", 1)}


def test_a_reload_that_is_asked_for_during_another_gets_the_result_of_the_next() -> None:
    told = serving().happen(generation(2)).ask(Reload()).all_get_ready()
    assert told.answers == {}
    told.happen(generation(3)).all_fail("exit status 3")
    assert told.answers == {Reload(): Answer("reload failed, generation 2 goes on: exit status 3", 1)}


def test_a_reload_that_is_asked_for_during_one_that_fails_gets_the_result_of_the_next() -> None:
    told = serving().happen(generation(2)).ask(Reload()).all_fail("exit status 3")
    assert told.answers == {}
    told.happen(generation(3)).all_get_ready()
    assert told.answers == {Reload(): Answer("reloaded: generation 3, 2 workers ready")}


def test_a_reload_during_start_is_answered_when_it_has_followed() -> None:
    told = Told().happen(ResizeAsked(2)).ask(Reload()).all_get_ready()
    assert told.answers == {}
    told.happen(generation(2)).all_get_ready()
    assert told.answers == {Reload(): Answer("reloaded: generation 2, 2 workers ready")}


@pytest.mark.parametrize("request_", [Reload(), Upgrade(), Workers(3)])
@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_who_waits_for_workers_is_told_that_the_service_stops(request_: Request, delay: float) -> None:
    told = serving().ask(request_, ReloadAsked(Wanted(workers=2, generation=2, shutdown_delay=delay)))
    assert told.happen(StopAsked(Ending.GRACEFUL)).answers == {request_: STOPPING}


def test_a_service_that_gives_up_says_why() -> None:
    fleet = Fleet(Wanted(workers=2), ending=Ending.CRASH_LOOP, reason="exit status 3")
    assert outcome(Waiting(Reload(), 1), fleet, ()) == Answer("the service gave up: exit status 3", 1)


@pytest.mark.parametrize(
    ("ending", "status", "problem"),
    [
        (Ending.CRASH_LOOP, 70, "gave up: 3 workers in a row failed: exit status 3"),
        (Ending.UNLOADABLE, 65, "exit status 3"),
    ],
)
def test_a_start_that_was_given_up_is_an_error(ending: Ending, status: int, problem: str) -> None:
    error = start_error(Fleet(Wanted(workers=2), failures=3, ending=ending, reason="exit status 3", status=65))
    assert error is not None
    assert (error.status, error.problem) == (status, problem)


def test_an_end_that_was_asked_for_is_none() -> None:
    assert start_error(Fleet(Wanted(workers=2), ending=Ending.GRACEFUL)) is None


def test_no_reload_before_the_other_program_is_there_completes_an_upgrade() -> None:
    told = serving().ask(Upgrade(), generation(2)).all_get_ready().happen(generation(3)).all_fail("exit status 3")
    assert told.answers == {}


def test_the_first_reload_of_the_other_program_completes_an_upgrade() -> None:
    one = resumed(waiting(Upgrade(), Fleet(Wanted(workers=2))), 4)
    fleet = Fleet(Wanted(workers=2, generation=5))
    assert outcome(one, fleet, [Reloaded(5)]) == Answer(f"upgraded to {VERSION}: generation 5, 2 workers ready")
    failure = Answer("upgrade failed, generation 4 goes on: exit status 3", 1)
    assert outcome(one, fleet, [ReloadFailed(5, 4, "exit status 3")]) == failure
    assert outcome(one, fleet, [UpgradeFailed(4, "another one")]) is None


def test_an_upgrade_that_fails_its_trial_is_answered_with_the_reason() -> None:
    fleet = Fleet(Wanted(workers=2))
    failure = Answer("upgrade failed, generation 1 goes on: SyntaxError", 1)
    assert outcome(waiting(Upgrade(), fleet), fleet, [UpgradeFailed(1, "SyntaxError")]) == failure
    assert outcome(waiting(Reload(), fleet), fleet, [UpgradeFailed(1, "SyntaxError")]) is None


def test_who_waits_for_anything_else_waits_for_the_same_in_the_other_program() -> None:
    one = Waiting(Reload(), 3)
    assert resumed(one, 4) == one


def test_workers_are_answered_when_they_are_ready() -> None:
    told = serving().ask(Workers(3), ResizeAsked(3))
    assert told.answers == {}
    told.all_get_ready()
    assert told.answers == {Workers(3): Answer("3 workers ready")}


def test_so_many_more_or_fewer_are_counted_from_what_was_wanted_when_it_was_asked() -> None:
    fleet = Fleet(Wanted(workers=2))
    assert waiting(Workers(1, relative=True), fleet).request == Workers(3)
    assert waiting(Workers(-1, relative=True), fleet).request == Workers(1)


def test_fewer_workers_are_answered_when_the_others_are_told_to_leave() -> None:
    assert serving().ask(Workers(1), ResizeAsked(1)).answers == {Workers(1): Answer("1 worker ready")}


def test_as_many_workers_as_there_are_is_answered_at_once() -> None:
    assert serving().ask(Workers(2), ResizeAsked(2)).answers == {Workers(2): Answer("2 workers ready")}


def test_another_number_of_workers_than_was_asked_for_is_a_failure() -> None:
    told = serving().ask(Workers(4), ResizeAsked(4), ResizeAsked(3)).all_get_ready()
    assert told.answers == {Workers(4): Answer("3 workers ready, not 4: something else was asked for since", 1)}


def test_workers_that_fail_again_after_a_second_try_are_answered_as_a_failure() -> None:
    fleet = serving().happen(ResizeAsked(3)).fleet
    assert outcome(Waiting(Workers(3), 1), fleet, [Respawn(2, "exit status 3", 0.0)]) is None
    failure = Answer("the worker in slot 2 fails: exit status 3; it is tried again and again", 1)
    assert outcome(Waiting(Workers(3), 1), fleet, [Respawn(2, "exit status 3", 0.1)]) == failure


def test_a_stop_is_answered_when_no_worker_is_left() -> None:
    told = serving().ask(Stop(), generation(2), StopAsked(Ending.GRACEFUL))
    assert told.answers == {}
    told.happen(*(WorkerExited(key, "exit status 0") for key in list(told.fleet.places)))
    assert told.answers == {Stop(): Answer("stopped")}


def test_what_is_waited_for_may_come_among_other_news_and_counts_though_the_service_stops() -> None:
    fleet = serving().happen(StopAsked(Ending.GRACEFUL)).fleet
    answer = outcome(Waiting(Reload(), 1), fleet, [Retire(0, (), for_good=False), Reloaded(2)])
    assert answer is not None
    assert answer.exit_status == 0


def test_nobody_is_answered_by_what_others_wait_for() -> None:
    fleet = serving().happen(ResizeAsked(3)).fleet
    assert outcome(Waiting(Stop(), 1), fleet, [Reloaded(2)]) is None
    assert outcome(Waiting(Workers(3), 1), fleet, [Reloaded(2), ReloadFailed(3, 2, "")]) is None
    assert outcome(Waiting(Stop(), 1), fleet, [Finish(Ending.FAST, "")]) == Answer("stopped")
