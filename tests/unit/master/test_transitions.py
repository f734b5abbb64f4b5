"""The table of a place's life is complete."""

from typing import get_args

import pytest

from prefork.master.fleet import (
    DeadlinePassed,
    Fleet,
    HeartbeatStale,
    Phase,
    Place,
    PlaceEvent,
    RecycleAsked,
    RetireAsked,
    Spawned,
    Wanted,
    WorkerExited,
    WorkerLeft,
    WorkerReady,
)
from prefork.master.supervisor import ImpossibleEventError, decide
from prefork.master.transitions import IMPOSSIBLE, TRANSITIONS


def test_every_phase_decides_about_every_event() -> None:
    pairs = {(phase, event) for phase in Phase if phase is not Phase.GONE for event in get_args(PlaceEvent)}
    impossible = [(phase, event) for event, phases in IMPOSSIBLE.items() for phase in phases]
    assert pairs == set(TRANSITIONS) | set(impossible)
    assert len(pairs) == len(TRANSITIONS) + len(impossible)


def test_each_row_leads_on_and_each_phase_is_reached() -> None:
    reached = {phase for phase, _ in TRANSITIONS.values()}
    assert reached == set(Phase)


@pytest.mark.parametrize(
    "event",
    [
        Spawned(0), WorkerReady(0), WorkerExited(0, ""), DeadlinePassed(0), HeartbeatStale(0),
        RecycleAsked(0), RetireAsked(0), WorkerLeft(0),
    ],
)  # fmt: skip
def test_an_impossible_event_is_a_mistake_of_ours(event: PlaceEvent) -> None:
    for phase in IMPOSSIBLE[type(event)]:
        with pytest.raises(ImpossibleEventError):
            decide(Fleet(Wanted(1), {0: Place(0, 0, 1, phase)}, 1), event, 0.0)
