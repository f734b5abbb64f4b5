"""The life of one worker's place, as a table. No I/O, no clock, no processes here.

An event in a phase leads to a phase and to a step, which completes the place and says what to do about it. What cannot
happen is listed too, so that a new event has to be thought through in every phase.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from msgspec.structs import replace

from prefork.master.fleet import (
    DUMP_TIME,
    GIVEN_UP,
    HEALTHY_AFTER,
    KILL_MARGIN,
    LEAVING_TIME,
    LONGEST_ABSENCE,
    LONGEST_BACKOFF,
    SHORTEST_BACKOFF,
    Action,
    DeadlinePassed,
    DumpStacks,
    Ending,
    Fleet,
    HeartbeatStale,
    Kill,
    Phase,
    Place,
    PlaceEvent,
    RecycleAsked,
    Respawn,
    Retire,
    RetireAsked,
    Spawn,
    Spawned,
    WorkerExited,
    WorkerLeft,
    WorkerReady,
)

Actions: TypeAlias = tuple[Action, ...]
Step: TypeAlias = Callable[[Fleet, Place, PlaceEvent, float], tuple[Place, Actions]]


def watch_boot(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    return replace(place, deadline=now + fleet.wanted.boot_timeout), ()


def settle(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    return replace(place, deadline=now + HEALTHY_AFTER if place.failures else None), ()


def forgive(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    return replace(place, failures=0, deadline=None), ()


def kill(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    reason = "max_old_generations exceeded" if place.outlived else LATE[place.phase]
    return replace(place, deadline=None), (Kill(place.key, reason),)


LATE: Final[Mapping[Phase, str]] = {
    Phase.STARTING: "boot_timeout passed",
    Phase.LATE: "boot_timeout passed",
    Phase.HUNG: "hang_timeout passed",
    Phase.RETIRING: "graceful_timeout passed",
}


def back_off(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    assert isinstance(event, WorkerExited)
    delay = backoff(place)
    after = replace(place, failures=place.failures + 1, deadline=now + delay)
    return after, (Respawn(place.slot, cause(place, event), delay),)


def cause(place: Place, event: WorkerExited) -> str:
    """Return why a worker failed: of one that was killed for being late, that, and not the signal."""
    killed = place.phase in (Phase.LATE, Phase.HUNG) and place.deadline is None
    return LATE[place.phase] if killed and not event.status else event.reason


def backoff(place: Place) -> float:
    """Return for how many seconds the next fork is put off: not at all for the first failure, then twice as long each.

    Slots are spread by up to a quarter, so that workers that failed together don't come back together.
    """
    if place.failures == 0:
        return 0.0
    doubled = SHORTEST_BACKOFF * 2.0 ** min(place.failures - 1, 16)
    spread = 1 - 0.25 * (place.slot * 0.618 % 1)
    longest = LONGEST_ABSENCE if place.phase in (Phase.READY, Phase.HUNG) else LONGEST_BACKOFF
    return min(doubled, longest) * spread


def spawn(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    return replace(place, deadline=None), (Spawn(place.key, place.slot, place.generation),)


def ask_to_leave(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    if fleet.ending in (Ending.FAST, *GIVEN_UP):
        return replace(place, deadline=None), (Kill(place.key, fleet.ending.value),)
    deadline = now + fleet.wanted.graceful_timeout + KILL_MARGIN
    ending = fleet.ending is not None
    heirs = () if ending else heirs_of(fleet, place)
    after = replace(place, deadline=deadline, heirs=heirs, leaves_by=now + LEAVING_TIME)
    return after, (Retire(place.key, heirs, for_good=ending),)


def stop_waiting(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    return replace(place, leaves_by=None), ()


def lose_patience(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    step = stop_waiting if place.leaves_by is not None and place.leaves_by <= now else kill
    return step(fleet, place, event, now)


def heirs_of(fleet: Fleet, place: Place) -> tuple[int, ...]:
    """Return the keys of those who take the place's connections over: its successor, else all that are ready."""
    wanted = range(fleet.wanted.workers)
    ready = [each for each in fleet.places.values() if each.phase is Phase.READY and each.slot in wanted]
    newest = [each for each in ready if is_newest(fleet, each)] or ready
    successor = [each for each in newest if each.slot == place.slot]
    return tuple(each.key for each in successor or newest)


def is_newest(fleet: Fleet, place: Place) -> bool:
    return place.generation == fleet.wanted.generation and not place.worn


def diagnose(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    return replace(place, deadline=now + DUMP_TIME), (DumpStacks(place.key),)


def wear_out(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    return replace(place, worn=True), ()


def ignore(fleet: Fleet, place: Place, event: PlaceEvent, now: float) -> tuple[Place, Actions]:
    return place, ()


# fmt: off
TRANSITIONS: Final[Mapping[tuple[Phase, type[PlaceEvent]], tuple[Phase, Step]]] = {
    # in              when               to               and
    (Phase.EMPTY,    Spawned):         (Phase.STARTING,  watch_boot),
    (Phase.EMPTY,    WorkerExited):    (Phase.BACKOFF,   back_off),      # it could not be forked
    (Phase.STARTING, WorkerReady):     (Phase.READY,     settle),
    (Phase.STARTING, DeadlinePassed):  (Phase.LATE,      kill),
    (Phase.STARTING, WorkerExited):    (Phase.BACKOFF,   back_off),
    (Phase.STARTING, RetireAsked):     (Phase.RETIRING,  ask_to_leave),
    (Phase.LATE,     WorkerReady):     (Phase.LATE,      ignore),        # it crossed the kill
    (Phase.LATE,     WorkerExited):    (Phase.BACKOFF,   back_off),
    (Phase.LATE,     RecycleAsked):    (Phase.LATE,      ignore),        # it crossed the kill
    (Phase.LATE,     RetireAsked):     (Phase.RETIRING,  ignore),        # it has been killed
    (Phase.READY,    DeadlinePassed):  (Phase.READY,     forgive),
    (Phase.READY,    WorkerExited):    (Phase.BACKOFF,   back_off),
    (Phase.READY,    RetireAsked):     (Phase.RETIRING,  ask_to_leave),
    (Phase.READY,    HeartbeatStale):  (Phase.HUNG,      diagnose),
    (Phase.READY,    RecycleAsked):    (Phase.READY,     wear_out),
    (Phase.HUNG,     DeadlinePassed):  (Phase.HUNG,      kill),
    (Phase.HUNG,     WorkerExited):    (Phase.BACKOFF,   back_off),
    (Phase.HUNG,     RecycleAsked):    (Phase.HUNG,      ignore),        # it will be killed in a moment
    (Phase.RETIRING, WorkerReady):     (Phase.RETIRING,  ignore),        # it crossed the request to leave
    (Phase.RETIRING, RecycleAsked):    (Phase.RETIRING,  ignore),        # the same
    (Phase.RETIRING, WorkerLeft):      (Phase.RETIRING,  stop_waiting),
    (Phase.RETIRING, DeadlinePassed):  (Phase.RETIRING,  lose_patience),
    (Phase.RETIRING, WorkerExited):    (Phase.GONE,      ignore),
    (Phase.BACKOFF,  DeadlinePassed):  (Phase.EMPTY,     spawn),
    (Phase.BACKOFF,  RetireAsked):     (Phase.GONE,      ignore),
}
FORKED: Final = (Phase.STARTING, Phase.LATE, Phase.READY, Phase.HUNG, Phase.RETIRING, Phase.BACKOFF)
IMPOSSIBLE: Final[Mapping[type[PlaceEvent], tuple[Phase, ...]]] = {
    Spawned:        FORKED,                                                        # only Spawn leads to EMPTY
    WorkerReady:    (Phase.EMPTY, Phase.READY, Phase.HUNG, Phase.BACKOFF),         # a worker says it once; no process
    HeartbeatStale: tuple({Phase.EMPTY, *FORKED} - {Phase.READY}),                 # only READY is watched
    RecycleAsked:   (Phase.EMPTY, Phase.STARTING, Phase.BACKOFF),                  # said once, after being ready
    WorkerLeft:     (Phase.EMPTY, *(set(FORKED) - {Phase.RETIRING})),              # only who was told to leaves
    WorkerExited:   (Phase.BACKOFF,),                                              # no process
    DeadlinePassed: (Phase.EMPTY, Phase.LATE),                                     # no deadline
    RetireAsked:    (Phase.EMPTY, Phase.HUNG, Phase.RETIRING),                     # EMPTY ends before; they are leaving
}
# fmt: on
