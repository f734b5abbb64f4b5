"""Decides what becomes of the workers. No I/O, no clock, no processes here.

What is wanted is told apart from what there is: `reconcile` compares the two after every event, so start, replacement,
reload, recycling, resize and stop differ in what they want and not in how it comes about. The life of a single place is
the table in transitions.py; everything that decides about the fleet is here, and everything that does something in
master.py.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from prefork.master.fleet import (
    GIVEN_UP,
    LEAVING_TIME,
    Action,
    DeadlinePassed,
    DelayPassed,
    Ending,
    Event,
    Finish,
    Fleet,
    Kill,
    Phase,
    Place,
    PlaceEvent,
    ReloadAsked,
    Reloaded,
    ReloadFailed,
    ResizeAsked,
    Respawn,
    Retire,
    RetireAsked,
    ServiceReady,
    Spawn,
    StopAsked,
    TakeOver,
    WorkerExited,
    WorkerReady,
)
from prefork.master.transitions import TRANSITIONS, Actions, cause, heirs_of, is_newest

HANDOVER_TIME: Final = 5.0  # seconds; moving 10,000 connections takes 0.4 on one core


class ImpossibleEventError(Exception):
    """An event came in a phase in which it cannot happen: a mistake of ours."""


def decide(fleet: Fleet, event: Event, now: float) -> tuple[Fleet, Actions]:
    """Return what the fleet is after the event, and what is to be done, in this order."""
    actions: Actions = ()
    match event:
        case ReloadAsked(wanted):
            fleet = replace(fleet, wanted=wanted, fallback=fleet.fallback or fleet.wanted)
        case ResizeAsked(workers):
            fallback = replace(fleet.fallback, workers=workers) if fleet.fallback else None
            fleet = replace(fleet, wanted=replace(fleet.wanted, workers=workers), fallback=fallback)
        case StopAsked(Ending.GRACEFUL) if fleet.wanted.shutdown_delay and fleet.ends_at is None:
            fleet = replace(fleet, ends_at=now + fleet.wanted.shutdown_delay)
        case StopAsked(ending):
            fleet, actions = stop(fleet, ending)
        case DelayPassed():
            fleet, actions = stop(fleet, Ending.GRACEFUL)
        case _:
            fleet, actions = step(fleet, event, now)
    fleet, more = reconcile(fleet, now)
    fleet, reports = report(fleet)
    return fleet, (*true_respawns(fleet, actions), *more, *reports)


def next_deadline(fleet: Fleet) -> float | None:
    """Return the moment at which `overdue` has something to tell, if any."""
    return min((deadline for _, deadline in deadlines(fleet)), default=None)


def overdue(fleet: Fleet, now: float) -> Event | None:
    """Return an event for the first deadline that has passed; deciding about it may change all others."""
    return next((event for event, deadline in deadlines(fleet) if deadline <= now), None)


def deadlines(fleet: Fleet) -> Iterator[tuple[Event, float]]:
    if fleet.ends_at is not None and fleet.ending is None:
        yield DelayPassed(), fleet.ends_at
    for each in fleet.places.values():
        for deadline in (each.leaves_by, each.deadline):
            if deadline is not None:
                yield DeadlinePassed(each.key), deadline


def step(fleet: Fleet, event: PlaceEvent, now: float) -> tuple[Fleet, Actions]:
    """Take the place that the event is about one step further."""
    place = fleet.places[event.key]
    try:
        phase, complete = TRANSITIONS[place.phase, type(event)]
    except KeyError:
        raise ImpossibleEventError(place, event) from None
    after, actions = complete(fleet, place, event, now)
    after = replace(after, phase=phase)
    places = {key: after if key == place.key else each for key, each in fleet.places.items()}
    if phase is Phase.GONE:
        del places[place.key]
    fleet, more = judge(replace(fleet, places=places), place, event)
    return fleet, (*actions, *more)


def judge(fleet: Fleet, place: Place, event: PlaceEvent) -> tuple[Fleet, Actions]:
    """Draw what follows for the whole fleet from what happened to one place."""
    match event:
        case WorkerReady() if place.phase is Phase.STARTING:
            return replace(fleet, proven=True, failures=0), ()
        case WorkerExited() if place.phase in (Phase.EMPTY, Phase.STARTING, Phase.LATE):
            return fail(fleet, place, event)
        case _:
            return fleet, ()


def fail(fleet: Fleet, place: Place, event: WorkerExited) -> tuple[Fleet, Actions]:
    """Go back to what was wanted before a reload, or give up at start, when workers can't get ready."""
    reason = cause(place, event)
    kept = fleet.fallback
    if kept is not None:  # then all that are not ready are of the newest generation
        failed = ReloadFailed(place.generation, kept.generation, reason)
        return replace(fleet, wanted=kept, fallback=None), (failed,)
    if event.status and not fleet.proven:
        return stop(replace(fleet, reason=reason, status=event.status), Ending.UNLOADABLE)
    failures = fleet.failures + 1
    if fleet.proven or failures < fleet.wanted.max_spawn_failures:
        return replace(fleet, failures=failures), ()
    return stop(replace(fleet, failures=failures, reason=reason), Ending.CRASH_LOOP)


def stop(fleet: Fleet, ending: Ending) -> tuple[Fleet, Actions]:
    """Begin to end, or end faster than was asked before; `reconcile` retires the workers."""
    if fleet.ending is not None and ending is Ending.GRACEFUL:
        return fleet, ()
    leaving = [each.key for each in fleet.places.values() if each.phase is Phase.RETIRING]
    if ending is Ending.GRACEFUL:
        actions: Actions = tuple(Retire(key, (), for_good=True) for key in leaving)  # their heirs leave too
    else:
        actions = tuple(Kill(key, ending.value) for key in leaving)
    return replace(fleet, ending=fleet.ending if fleet.ending in GIVEN_UP else ending, fallback=None), actions


def reconcile(fleet: Fleet, now: float) -> tuple[Fleet, Actions]:
    """Bring what there is nearer to what is wanted: retire what is too much, fill what is vacant."""
    actions: list[Action] = []
    for place in surplus(fleet):
        actions += take_over(fleet, place)
        fleet, more = step(fleet, RetireAsked(place.key), now)
        actions += more
    for place in heirless(fleet):
        heirs = heirs_of(fleet, place)
        leaves_by = now + LEAVING_TIME if heirs else place.leaves_by
        told = replace(place, heirs=heirs, leaves_by=leaves_by)
        fleet = replace(fleet, places={**fleet.places, place.key: told})
        actions += [Retire(place.key, heirs, for_good=False)] if heirs else []
    for place in outlived(fleet, now):
        hurried = replace(place, deadline=now + HANDOVER_TIME, outlived=True)
        fleet = replace(fleet, places={**fleet.places, place.key: hurried})
    actions += stand_ins(fleet)
    for slot in vacant(fleet):
        place = Place(fleet.next_key, slot, fleet.wanted.generation)
        fleet = replace(fleet, places={**fleet.places, place.key: place}, next_key=place.key + 1)
        actions.append(Spawn(place.key, place.slot, place.generation))
    return fleet, tuple(actions)


def staying(fleet: Fleet, slot: int) -> list[Place]:
    return [each for each in fleet.places.values() if each.slot == slot and each.phase is not Phase.RETIRING]


def surplus(fleet: Fleet) -> list[Place]:
    """Return the places that are no longer wanted: a predecessor only once its successor is ready."""
    replaced = {each.slot for each in fleet.places.values() if each.phase is Phase.READY and is_newest(fleet, each)}
    return [
        each
        for each in fleet.places.values()
        if each.phase not in (Phase.EMPTY, Phase.HUNG, Phase.RETIRING)
        and (
            fleet.ending is not None
            or each.slot >= fleet.wanted.workers
            or (not is_newest(fleet, each) and (each.phase is not Phase.READY or each.slot in replaced))
        )
    ]


def heirless(fleet: Fleet) -> list[Place]:
    """Return the places that are leaving and whose heirs are dead, since they were named, or have never been."""
    alive = {each.key for each in fleet.places.values() if each.phase in (Phase.READY, Phase.RETIRING)}
    leaving = [each for each in fleet.places.values() if each.phase is Phase.RETIRING and each.deadline is not None]
    return [each for each in leaving if alive.isdisjoint(each.heirs)]


def outlived(fleet: Fleet, now: float) -> list[Place]:
    """Return the places that have to hurry, since too many generations are still leaving: those of the oldest.

    Not killed at once: when reload follows reload, they may be in the middle of handing their connections over.
    """
    leaving = [each for each in fleet.places.values() if each.phase is Phase.RETIRING]
    generations = sorted({each.generation for each in leaving if each.generation != fleet.wanted.generation})
    oldest = generations[: -fleet.wanted.max_old_generations]
    latest = now + HANDOVER_TIME
    return [each for each in leaving if each.generation in oldest and each.deadline and each.deadline > latest]


def take_over(fleet: Fleet, place: Place) -> Iterable[Action]:
    """Let no connection be stranded in the socket of a slot that is no longer wanted: another worker takes it over."""
    workers = fleet.wanted.workers
    if fleet.ending is None and 0 < workers <= place.slot:
        heirs = (
            each for each in staying(fleet, place.slot % workers) if each.phase not in (Phase.EMPTY, Phase.BACKOFF)
        )
        yield from (TakeOver(heir.key, heir.slot) for heir in heirs)


def stand_ins(fleet: Fleet) -> Iterator[Action]:
    """While a slot backs off, let the next that is ready serve its socket too; who does already is not told again."""
    ready = {each.slot: each.key for each in fleet.places.values() if each.phase is Phase.READY}
    waiting = [each.slot for each in fleet.places.values() if each.phase is Phase.BACKOFF and each.failures > 1]
    for slot in waiting:
        following = [(slot + distance) % fleet.wanted.workers for distance in range(1, fleet.wanted.workers)]
        heir = next((ready[each] for each in following if each in ready), None)
        if heir is not None and slot not in ready:
            yield TakeOver(heir, slot)


def vacant(fleet: Fleet) -> Iterator[int]:
    """Yield the slots that need a new place; of those with a predecessor that serves, at most `surge` at a time."""
    if fleet.ending is not None:
        return
    rolling = 0
    free = []
    for slot in range(fleet.wanted.workers):
        places = staying(fleet, slot)
        serves = any(each.phase is Phase.READY and not is_newest(fleet, each) for each in places)
        if any(is_newest(fleet, each) for each in places):
            rolling += serves
        elif serves:
            free.append(slot)
        else:
            yield slot
    yield from free[: max(0, fleet.wanted.surge - rolling)]


def report(fleet: Fleet) -> tuple[Fleet, Actions]:
    """Tell what has been reached."""
    if fleet.ending is not None:
        return fleet, () if fleet.places else (Finish(fleet.ending, fleet.reason),)
    if not settled(fleet):
        return fleet, ()
    actions: list[Action] = []
    if not fleet.announced:
        actions.append(ServiceReady())
    if fleet.fallback is not None and not old_ones_answer(fleet):
        actions.append(Reloaded(fleet.wanted.generation))
        fleet = replace(fleet, fallback=None)
    return replace(fleet, announced=True), tuple(actions)


def old_ones_answer(fleet: Fleet) -> bool:
    """Tell whether a worker of another generation has not left yet, and is still waited for."""
    generation = fleet.wanted.generation
    return any(each.leaves_by is not None and each.generation != generation for each in fleet.places.values())


def true_respawns(fleet: Fleet, actions: Actions) -> Actions:
    """Leave out that a worker is replaced where none is: its reload has failed, or the service ends."""
    due = {each.slot for each in fleet.places.values() if each.phase in (Phase.EMPTY, Phase.BACKOFF)}
    return tuple(each for each in actions if not isinstance(each, Respawn) or each.slot in due)


def settled(fleet: Fleet) -> bool:
    """Tell whether all that is wanted is ready: what is missing or to be replaced has a place that isn't, by now."""
    return all(each.phase in (Phase.READY, Phase.RETIRING) for each in fleet.places.values())
