"""A kernel for the supervisor: it forks, kills and lets time pass, and checks every decision.

What holds in any order of events, at any time:
a place has a process exactly while it is STARTING, LATE, READY, HUNG or RETIRING · every Retire and Kill names a worker
that was forked and is not reaped · a ready worker that is still wanted is retired only for a ready successor · every
heir is ready and stays · a slot has at most one newest place, and `surge` slots at most have one beside a worker that
serves · the deadlines that have passed are dealt with at once · who is told to leave by a reload has left before it is
told that it is done, or has had the time to.
"""

from typing import Final

from msgspec.structs import replace

from prefork.master.fleet import (
    LEAVING_TIME,
    Action,
    DumpStacks,
    Event,
    Finish,
    Fleet,
    Kill,
    Phase,
    Place,
    RecycleAsked,
    ReloadAsked,
    Reloaded,
    ResizeAsked,
    Retire,
    Spawn,
    Spawned,
    TakeOver,
    Wanted,
    WorkerExited,
    WorkerLeft,
    WorkerReady,
)
from prefork.master.supervisor import decide, overdue

WITH_PROCESS: Final = (Phase.STARTING, Phase.LATE, Phase.READY, Phase.HUNG, Phase.RETIRING)


class World:
    """A kernel for the supervisor: forks when it may, and lets time pass as far as is said.

    Workers do nothing by themselves, but leave when they are told to, unless they are `busy`: a test says when they get
    ready and when they exit.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.fleet = Fleet(wanted)
        self.now = 1000.0
        self.forks_fail = False
        self.busy = False
        self.alive: set[int] = set()
        self.booting: set[int] = set()
        self.fresh: set[int] = set()
        self.killed: set[int] = set()
        self.told_to_leave: set[int] = set()
        self.staying: dict[int, float] = {}
        self.done: list[Action] = []
        self.happen(ResizeAsked(wanted.workers))

    # What happens

    def happen(self, event: Event) -> None:
        """Have it decided, and do what is decided, as the master does."""
        events: list[Event] = [event]
        while events:
            before = self.fleet
            self.fleet, actions = decide(before, events.pop(0), self.now)
            self._check(before, actions)
            outcomes = [self._perform(action) for action in actions]
            events += [outcome for outcome in outcomes if outcome is not None]

    def get_ready(self, *keys: int) -> None:
        for key in keys or sorted(self.booting):
            self.booting.remove(key)
            self.fresh.add(key)
            self.happen(WorkerReady(key))

    def wear(self, *keys: int) -> None:
        """Have workers say that they have served for long enough, which each says once."""
        for key in keys:
            self.fresh.remove(key)
            self.happen(RecycleAsked(key))

    def leave(self, *keys: int) -> None:
        """Have workers that were told to leave say that they have."""
        for key in keys:
            self.happen(self._left(key))

    def exit(self, *keys: int, reason: str = "exit status 1", status: int = 0) -> None:
        for key in keys:
            self.alive.remove(key)
            self.booting.discard(key)
            self.fresh.discard(key)
            self.killed.discard(key)
            self.told_to_leave.discard(key)
            self.staying.pop(key, None)
            self.happen(WorkerExited(key, reason, status))

    def obey(self) -> None:
        """Let those exit that were told to, one way or the other."""
        while leaving := self.told_to_leave | self.killed:
            self.exit(min(leaving), reason="exit status 0")

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for _ in range(10 * len(self.fleet.places) + 10):
            late = overdue(self.fleet, self.now)
            if late is None:
                break
            self.happen(late)
        assert overdue(self.fleet, self.now) is None, "deadlines that pass again and again"

    # What there is

    def places(self, *phases: Phase) -> list[Place]:
        return [each for each in self.fleet.places.values() if each.phase in phases]

    def of_slot(self, slot: int, *phases: Phase) -> Place:
        (place,) = [each for each in self.places(*phases) if each.slot == slot]
        return place

    def count(self, kind: type[Action]) -> int:
        return sum(isinstance(each, kind) for each in self.done)

    def drain(self) -> list[Action]:
        """Return what was done since this was asked last."""
        done, self.done = self.done, []
        return done

    @property
    def finished(self) -> bool:
        return any(isinstance(each, Finish) for each in self.done)

    # The kernel's part

    def _perform(self, action: Action) -> Event | None:
        assert not self.finished
        self.done.append(action)
        match action:
            case Spawn(key):
                if self.forks_fail:
                    return WorkerExited(key, "can't fork: out of memory")
                self.alive.add(key)
                self.booting.add(key)
                return Spawned(key)
            case Retire(key, heirs):
                assert key in self.alive
                assert key not in heirs
                assert {self.fleet.places[heir].phase for heir in heirs} <= {Phase.READY}
                self.told_to_leave.add(key)
                self.staying.setdefault(key, self.now)
                return None if self.busy else self._left(key)
            case Reloaded(generation):
                late = [key for key, since in self.staying.items() if self.now - since < LEAVING_TIME]
                assert {self.fleet.places[key].generation for key in late} <= {generation}
            case Kill(key):
                assert key in self.alive
                self.killed.add(key)
            case DumpStacks(key):
                assert key in self.alive
            case TakeOver(key, slot):
                assert key in self.alive
                assert slot in range(self.fleet.wanted.workers)
            case _:
                pass
        return None

    def _left(self, key: int) -> WorkerLeft:
        self.staying.pop(key)
        return WorkerLeft(key)

    def _check(self, before: Fleet, actions: tuple[Action, ...]) -> None:
        after = self.fleet
        for place in after.places.values():
            if place.phase is not Phase.EMPTY:  # it may be forked, and that not be told yet
                assert (place.key in self.alive) is (place.phase in WITH_PROCESS)
            assert place.phase is not Phase.GONE
            assert place.phase is not Phase.EMPTY or place.deadline is None
            was = before.places.get(place.key)
            if was is not None and was.phase is Phase.READY and place.phase is Phase.RETIRING:
                assert self._may_leave(place)
        newest = [each.slot for each in after.places.values() if is_newest(after, each)]
        assert len(newest) == len(set(newest))
        serving = {each.slot for each in self.places(Phase.READY) if not is_newest(after, each)}
        assert len(serving.intersection(newest)) <= after.wanted.surge
        spawned = [action.key for action in actions if isinstance(action, Spawn)]
        assert spawned == [each.key for each in after.places.values() if each.key in spawned]
        for key in spawned:
            assert after.places[key].phase is Phase.EMPTY

    def _may_leave(self, place: Place) -> bool:
        fleet = self.fleet
        successors = [
            each
            for each in fleet.places.values()
            if each.slot == place.slot and each.phase is Phase.READY and is_newest(fleet, each)
        ]
        return fleet.ending is not None or place.slot >= fleet.wanted.workers or len(successors) == 1


def is_newest(fleet: Fleet, place: Place) -> bool:
    return place.generation == fleet.wanted.generation and place.phase is not Phase.RETIRING and not place.worn


def serving(workers: int = 2, generation: int = 1) -> World:
    """Return a world whose workers are all ready."""
    world = World(Wanted(workers, generation))
    world.get_ready()
    world.drain()
    return world


def reloading(world: World, workers: int | None = None) -> list[Action]:
    wanted = world.fleet.wanted
    world.drain()
    world.happen(ReloadAsked(replace(wanted, workers=workers or wanted.workers, generation=wanted.generation + 1)))
    return world.drain()
