"""What becomes of the workers, by examples and in any order of what can happen.

What holds in any order of events, at any time (the World below checks it at every decision):
a place has a pid exactly while it is STARTING, LATE, READY, HUNG or RETIRING · every Retire and Kill names a worker that
was forked and is not reaped · a ready worker that is still wanted is retired only for a ready successor · every heir
is ready and stays · a slot has at most one newest place · the deadlines that have passed are dealt with at once · a
stop ends within its deadlines.
"""

from typing import Final, get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from prefork.master.fleet import (
    DUMP_TIME,
    HEALTHY_AFTER,
    KILL_MARGIN,
    LONGEST_BACKOFF,
    SHORTEST_BACKOFF,
    Action,
    DeadlinePassed,
    DelayPassed,
    DumpStacks,
    Ending,
    Event,
    Finish,
    Fleet,
    HeartbeatStale,
    Kill,
    Phase,
    Place,
    PlaceEvent,
    RecycleAsked,
    ReloadAsked,
    Reloaded,
    ReloadFailed,
    ResizeAsked,
    Respawn,
    Retire,
    RetireAsked,
    ServiceReady,
    Spawn,
    Spawned,
    SpawnFailed,
    StopAsked,
    TakeOver,
    Wanted,
    WorkerExited,
    WorkerReady,
)
from prefork.master.supervisor import ImpossibleEventError, decide, next_deadline, overdue
from prefork.master.transitions import IMPOSSIBLE, TRANSITIONS, backoff

WITH_PROCESS: Final = (Phase.STARTING, Phase.LATE, Phase.READY, Phase.HUNG, Phase.RETIRING)


class World:
    """A kernel for the supervisor: forks when it may, and lets time pass as far as is said.

    Workers do nothing by themselves: a test says when they get ready and when they exit.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.fleet = Fleet(wanted)
        self.now = 1000.0
        self.forks_fail = False
        self.alive: dict[int, int] = {}
        self.booting: set[int] = set()
        self.fresh: set[int] = set()
        self.killed: set[int] = set()
        self.told_to_leave: set[int] = set()
        self.done: list[Action] = []
        self._last_pid = 100
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

    def exit(self, *keys: int, reason: str = "exit status 1") -> None:
        for key in keys:
            del self.alive[key]
            self.booting.discard(key)
            self.fresh.discard(key)
            self.killed.discard(key)
            self.told_to_leave.discard(key)
            self.happen(WorkerExited(key, reason))

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
                    return SpawnFailed(key, "can't fork: out of memory")
                self._last_pid += 1
                self.alive[key] = self._last_pid
                self.booting.add(key)
                return Spawned(key, self._last_pid)
            case Retire(key, heirs):
                assert key in self.alive
                assert key not in heirs
                assert {self.fleet.places[heir].phase for heir in heirs} <= {Phase.READY}
                self.told_to_leave.add(key)
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

    def _check(self, before: Fleet, actions: tuple[Action, ...]) -> None:
        after = self.fleet
        for place in after.places.values():
            assert (place.pid is not None) is (place.phase in WITH_PROCESS)
            assert place.phase is not Phase.GONE
            if place.pid is not None:
                assert self.alive[place.key] == place.pid
            was = before.places.get(place.key)
            if was is not None and was.phase is Phase.READY and place.phase is Phase.RETIRING:
                assert self._may_leave(place)
        newest = [each.slot for each in after.places.values() if is_newest(after, each)]
        assert len(newest) == len(set(newest))
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


# The table


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
        Spawned(0, 1), SpawnFailed(0, ""), WorkerReady(0), WorkerExited(0, ""), DeadlinePassed(0), HeartbeatStale(0),
        RecycleAsked(0), RetireAsked(0),
    ],
)  # fmt: skip
def test_an_impossible_event_is_a_mistake_of_ours(event: PlaceEvent) -> None:
    for phase in IMPOSSIBLE[type(event)]:
        with pytest.raises(ImpossibleEventError):
            decide(Fleet(Wanted(1), {0: Place(0, 0, 1, phase)}, 1), event, 0.0)


# Start


def test_at_start_a_worker_is_forked_for_each_slot() -> None:
    world = World(Wanted(3))
    assert world.drain() == [Spawn(0, 0, 1), Spawn(1, 1, 1), Spawn(2, 2, 1)]
    assert [place.phase for place in world.places(*Phase)] == [Phase.STARTING] * 3


def test_the_service_is_ready_once_when_all_workers_are() -> None:
    world = World(Wanted(2))
    world.drain()
    world.get_ready(1)
    assert world.drain() == []
    world.get_ready(0)
    assert world.drain() == [ServiceReady()]
    world.exit(0)
    world.pass_time(0)
    world.get_ready()
    assert world.count(ServiceReady) == 0


def test_a_worker_that_does_not_get_ready_in_time_is_killed_and_replaced() -> None:
    world = World(Wanted(1, boot_timeout=5))
    world.pass_time(4.9)
    assert world.count(Kill) == 0
    world.pass_time(0.1)
    assert world.drain()[1:] == [Kill(0, "boot_timeout passed")]
    world.exit(0, reason="killed by SIGKILL")
    world.pass_time(0)
    assert world.drain() == [Respawn(0, "killed by SIGKILL", 0.0), Spawn(0, 0, 1)]


def test_readiness_that_crosses_the_kill_is_none() -> None:
    world = World(Wanted(1, boot_timeout=5, max_spawn_failures=1))
    world.pass_time(5)
    world.get_ready(0)
    assert world.count(ServiceReady) == 0
    world.exit(0, reason="killed by SIGKILL")
    assert world.done[-1] == Finish(Ending.CRASH_LOOP, "killed by SIGKILL")


def test_a_stop_is_no_failed_start_for_a_worker_that_is_killed_meanwhile() -> None:
    world = World(Wanted(1, boot_timeout=5, max_spawn_failures=1))
    world.pass_time(5)
    world.happen(StopAsked(Ending.GRACEFUL))
    world.obey()
    assert world.done[-1] == Finish(Ending.GRACEFUL, "")


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("workers", [1, 4])
def test_so_many_failures_in_a_row_at_start_end_the_service(most: int, workers: int) -> None:
    world = World(Wanted(workers, max_spawn_failures=most))
    for failure in range(most):
        assert world.fleet.ending is None
        world.exit(min(world.alive), reason=f"exit status {failure}")
        world.pass_time(1)
    assert world.fleet.failures == most
    assert world.killed == set(world.alive)
    world.obey()
    assert world.done[-1] == Finish(Ending.CRASH_LOOP, f"exit status {most - 1}")


def test_forks_that_are_refused_at_start_end_the_service_with_the_reason() -> None:
    fleet, _ = decide(Fleet(Wanted(4, max_spawn_failures=3)), ResizeAsked(4), 0.0)
    actions: tuple[Action, ...] = ()
    for key in range(4):
        fleet, actions = decide(fleet, SpawnFailed(key, "can't fork: out of memory"), 0.0)
    assert actions == (
        Respawn(3, "can't fork: out of memory", 0.0),
        Finish(Ending.CRASH_LOOP, "can't fork: out of memory"),
    )


def test_once_a_worker_was_ready_failures_never_end_the_service() -> None:
    world = World(Wanted(2, max_spawn_failures=2))
    world.get_ready(0)
    for _ in range(20):
        world.exit(max(world.alive))
        world.pass_time(LONGEST_BACKOFF)
    assert world.fleet.ending is None


def test_a_worker_that_gets_ready_starts_the_count_of_failures_anew() -> None:
    world = World(Wanted(3, max_spawn_failures=2))
    world.exit(0)
    world.get_ready(1)
    assert (world.fleet.failures, world.fleet.proven) == (0, True)


# Replacement


def test_while_a_slot_backs_off_the_next_that_is_ready_serves_its_socket() -> None:
    world = serving(3)
    world.exit(2)
    world.pass_time(0)
    assert world.count(TakeOver) == 0
    (second,) = world.booting
    world.exit(second)
    assert world.drain()[-1] == TakeOver(0, 2)
    world.exit(0)
    assert world.drain()[-1] == TakeOver(1, 2)


def test_a_worker_that_dies_is_replaced_at_once() -> None:
    world = serving()
    world.exit(1, reason="killed by SIGSEGV")
    world.pass_time(0)
    assert world.drain() == [Respawn(1, "killed by SIGSEGV", 0.0), Spawn(1, 1, 1)]


def test_a_worker_that_dies_again_and_again_is_put_off_twice_as_long_each_time() -> None:
    world = serving(1)
    delays = []
    for _ in range(12):
        world.exit(0)
        (respawn,) = world.drain()
        assert isinstance(respawn, Respawn)
        delays.append(respawn.delay)
        world.pass_time(respawn.delay)
        world.get_ready()
        world.drain()
    doubled = [SHORTEST_BACKOFF * 2**number for number in range(11)]
    assert delays == pytest.approx([0.0, *(min(each, LONGEST_BACKOFF) for each in doubled)])


def test_a_worker_that_was_healthy_for_a_while_is_forgiven() -> None:
    world = serving(1)
    for _ in range(3):
        world.exit(0)
        world.pass_time(LONGEST_BACKOFF)
        world.get_ready()
    assert world.fleet.places[0].failures == 3
    world.pass_time(HEALTHY_AFTER)
    assert (world.fleet.places[0].failures, next_deadline(world.fleet)) == (0, None)


@pytest.mark.parametrize("failures", [1, 5, 1000])
def test_slots_that_failed_together_come_back_spread_over_a_quarter(failures: int) -> None:
    delays = [backoff(Place(0, slot, 1, failures=failures)) for slot in range(100)]
    assert len(set(delays)) == 100
    assert 0.75 * max(delays) <= min(delays) < max(delays) <= LONGEST_BACKOFF


def test_a_fork_that_is_refused_is_tried_again_later() -> None:
    world = serving(1)
    world.forks_fail = True
    world.exit(0)
    world.pass_time(0)
    assert world.drain()[1:] == [Spawn(0, 0, 1), Respawn(0, "can't fork: out of memory", SHORTEST_BACKOFF)]
    world.forks_fail = False
    world.pass_time(SHORTEST_BACKOFF)
    assert world.drain() == [Spawn(0, 0, 1)]


# Reload


def test_a_reload_replaces_one_worker_after_the_other_and_the_successor_is_ready_first() -> None:
    world = serving(2)
    assert reloading(world) == [Spawn(2, 0, 2)]
    world.get_ready(2)
    assert world.drain() == [Retire(0, (2,), for_good=False), Spawn(3, 1, 2)]
    world.get_ready(3)
    assert world.drain() == [Retire(1, (3,), for_good=False), Reloaded(2)]
    world.obey()
    assert [place.key for place in world.places(*Phase)] == [2, 3]


def test_a_reload_may_surge_by_several_workers() -> None:
    world = serving(3)
    world.happen(ReloadAsked(Wanted(3, 2, surge=2)))
    assert world.drain() == [Spawn(3, 0, 2), Spawn(4, 1, 2)]


def test_a_reload_does_not_wait_for_predecessors_that_take_their_time() -> None:
    world = serving(1)
    reloading(world)
    world.get_ready()
    assert Reloaded(2) in world.drain()
    assert world.places(Phase.RETIRING)


def test_a_predecessor_that_does_not_leave_in_time_is_killed() -> None:
    world = serving(1)
    reloading(world)
    world.get_ready()
    world.drain()
    world.pass_time(world.fleet.wanted.graceful_timeout + KILL_MARGIN)
    assert world.drain() == [Kill(0, "graceful_timeout passed")]
    world.exit(0)
    assert world.count(Respawn) == 0


def test_a_reload_whose_first_worker_fails_leaves_the_old_generation_as_it_is() -> None:
    world = serving(2)
    reloading(world)
    world.exit(2, reason="exit status 3")
    assert world.drain() == [Respawn(0, "exit status 3", 0.0), ReloadFailed(2, 1, "exit status 3")]
    assert [place.key for place in world.places(*Phase)] == [0, 1]


def test_a_reload_whose_later_worker_fails_rolls_back_to_the_old_generation() -> None:
    world = serving(2)
    reloading(world)
    world.get_ready(2)
    world.drain()
    world.exit(3, reason="exit status 3")
    assert world.drain() == [
        Respawn(1, "exit status 3", 0.0), ReloadFailed(2, 1, "exit status 3"), Spawn(4, 0, 1),
    ]  # fmt: skip
    world.get_ready()
    assert world.drain() == [Retire(2, (4,), for_good=False)]
    assert [(place.slot, place.generation) for place in world.places(Phase.READY)] == [(1, 1), (0, 1)]


def test_a_reload_whose_fork_is_refused_goes_back_to_the_old_generation() -> None:
    world = serving(1)
    world.forks_fail = True
    done = reloading(world)
    assert ReloadFailed(2, 1, "can't fork: out of memory") in done
    assert [place.key for place in world.places(*Phase)] == [0]


def test_a_reload_whose_worker_never_gets_ready_goes_back_to_the_old_generation() -> None:
    world = serving(1)
    reloading(world)
    world.pass_time(world.fleet.wanted.boot_timeout)
    world.obey()
    assert world.drain()[-1] == ReloadFailed(2, 1, "exit status 0")
    assert world.fleet.wanted.generation == 1


def test_a_resize_outlives_the_reload_that_fails_after_it() -> None:
    world = serving(1)
    reloading(world)
    world.happen(ResizeAsked(2))
    world.exit(min(world.booting))
    assert world.count(ReloadFailed) == 1
    assert (world.fleet.wanted.generation, world.fleet.wanted.workers) == (1, 2)


def test_after_a_reload_a_failure_is_no_failed_reload() -> None:
    world = serving(1)
    reloading(world)
    world.get_ready()
    world.exit(1)
    world.pass_time(0)
    world.exit(1)
    assert world.count(ReloadFailed) == 0
    assert world.fleet.wanted.generation == 2


def test_a_second_reload_takes_the_place_of_one_that_is_under_way() -> None:
    world = serving(2)
    reloading(world)
    world.get_ready(2)
    assert reloading(world) == [Retire(3, (1,), for_good=False), Spawn(4, 0, 3)]
    world.get_ready(4)
    world.get_ready(max(world.booting))
    assert world.drain()[-1] == Reloaded(3)
    world.obey()
    assert [place.generation for place in world.places(*Phase)] == [3, 3]


def test_two_reloads_that_fail_go_back_to_what_was_there_before_both() -> None:
    world = serving(1)
    reloading(world)
    reloading(world)
    world.exit(max(world.alive), reason="exit status 3")
    assert world.drain()[-1] == ReloadFailed(3, 1, "exit status 3")
    assert [place.generation for place in world.places(Phase.READY)] == [1]


def test_a_reload_during_the_start_does_not_wait_for_the_old_workers() -> None:
    world = World(Wanted(2))
    assert reloading(world) == [
        Retire(0, (), for_good=False),
        Retire(1, (), for_good=False),
        Spawn(2, 0, 2),
        Spawn(3, 1, 2),
    ]
    world.get_ready(0, 2, 3)
    assert world.drain() == [ServiceReady(), Reloaded(2)]


def test_a_reload_replaces_a_worker_that_waits_for_its_next_fork() -> None:
    world = serving(1)
    world.exit(0)
    assert reloading(world) == [Spawn(1, 0, 2)]
    assert [place.key for place in world.places(*Phase)] == [1]


def test_a_reload_may_change_the_number_of_workers() -> None:
    world = serving(2)
    assert reloading(world, workers=1) == [TakeOver(0, 0), Retire(1, (0,), for_good=False), Spawn(2, 0, 2)]
    world.get_ready()
    assert world.drain()[-1] == Reloaded(2)
    assert reloading(world, workers=3) == [Spawn(3, 1, 3), Spawn(4, 2, 3), Spawn(5, 0, 3)]


# Resize


def test_one_worker_more_is_one_slot_more() -> None:
    world = serving(2)
    world.happen(ResizeAsked(3))
    assert world.drain() == [Spawn(2, 2, 1)]


def test_one_worker_fewer_gives_its_sockets_to_another_and_retires() -> None:
    world = serving(3)
    world.happen(ResizeAsked(2))
    assert world.drain() == [TakeOver(0, 0), Retire(2, (0, 1), for_good=False)]
    world.exit(2)
    assert world.drain() == []


def test_the_sockets_of_several_slots_are_spread_over_those_that_stay() -> None:
    world = serving(5)
    world.happen(ResizeAsked(2))
    assert [each for each in world.drain() if isinstance(each, TakeOver)] == [
        TakeOver(0, 0),
        TakeOver(1, 1),
        TakeOver(0, 0),
    ]


def test_a_slot_that_waits_for_its_next_fork_takes_over_when_it_is_forked() -> None:
    world = serving(2)
    world.exit(0)
    world.drain()
    world.happen(ResizeAsked(1))
    assert world.drain() == [Retire(1, (), for_good=False)]


def test_no_worker_at_all_may_be_wanted_for_a_while() -> None:
    world = serving(2)
    world.happen(ResizeAsked(0))
    assert world.drain() == [Retire(0, (), for_good=False), Retire(1, (), for_good=False)]
    world.obey()
    assert not world.finished
    world.happen(ResizeAsked(1))
    assert world.drain() == [Spawn(2, 0, 1)]


def test_a_slot_that_is_wanted_again_does_not_wait_until_its_old_worker_has_left() -> None:
    world = serving(2)
    world.happen(ResizeAsked(1))
    world.drain()
    world.happen(ResizeAsked(2))
    assert world.drain() == [Spawn(2, 1, 1)]


def test_more_workers_during_a_reload_are_of_the_new_generation() -> None:
    world = serving(1)
    reloading(world)
    world.happen(ResizeAsked(2))
    assert world.drain() == [Spawn(2, 1, 2)]
    world.get_ready()
    assert world.drain()[-1] == Reloaded(2)


def test_fewer_workers_during_a_reload_retire_both_of_a_slot() -> None:
    world = serving(2)
    reloading(world)
    world.get_ready()
    world.drain()
    world.happen(ResizeAsked(1))
    assert world.drain() == [
        TakeOver(2, 0), Retire(1, (2,), for_good=False), TakeOver(2, 0), Retire(3, (2,), for_good=False), Reloaded(2),
    ]  # fmt: skip


# Wear


def test_a_worn_worker_is_replaced_by_its_like_and_the_successor_is_ready_first() -> None:
    world = serving(2)
    world.wear(1)
    assert world.drain() == [Spawn(2, 1, 1)]
    world.get_ready()
    assert world.drain() == [Retire(1, (2,), for_good=False)]
    world.obey()
    assert world.drain() == []


def test_workers_that_are_worn_together_are_replaced_one_after_the_other() -> None:
    world = serving(3)
    world.wear(0, 1, 2)
    assert world.drain() == [Spawn(3, 0, 1)]
    world.get_ready()
    assert world.drain() == [Retire(0, (3,), for_good=False), Spawn(4, 1, 1)]


def test_a_worn_worker_that_dies_is_replaced_all_the_same() -> None:
    world = serving(1)
    world.wear(0)
    world.exit(1)
    world.exit(0)
    world.pass_time(1)
    world.get_ready()
    assert [(place.slot, place.worn) for place in world.places(Phase.READY)] == [(0, False)]


def test_a_worker_that_is_worn_while_it_leaves_is_not_replaced_again() -> None:
    world = serving(2)
    world.happen(ResizeAsked(1))
    world.drain()
    world.wear(1)
    assert world.drain() == []


# Hanging


def test_a_worker_that_hangs_writes_its_stacks_and_is_killed_and_replaced() -> None:
    world = serving(1)
    world.happen(HeartbeatStale(0))
    assert world.drain() == [DumpStacks(0)]
    world.pass_time(DUMP_TIME)
    assert world.drain() == [Kill(0, "hang_timeout passed")]
    world.exit(0, reason="killed by SIGKILL")
    world.pass_time(0)
    assert world.drain() == [Respawn(0, "killed by SIGKILL", 0.0), Spawn(0, 0, 1)]


def test_a_worker_that_hangs_is_killed_in_a_moment_whatever_is_asked_of_it() -> None:
    world = serving(2)
    world.happen(HeartbeatStale(1))
    world.wear(1)
    world.happen(ResizeAsked(1))
    world.happen(StopAsked(Ending.GRACEFUL))
    world.pass_time(DUMP_TIME)
    assert (world.told_to_leave, world.killed) == ({0}, {1})
    world.obey()
    assert world.finished


# Old generations


def test_workers_of_more_old_generations_than_may_linger_are_killed_the_oldest_first() -> None:
    world = World(Wanted(1, max_old_generations=2))
    world.get_ready()
    for _ in range(3):
        assert world.count(Kill) == 0
        reloading(world)
        world.get_ready()
    assert [each for each in world.drain() if isinstance(each, Kill)] == [Kill(0, "max_old_generations exceeded")]
    world.pass_time(0)
    assert world.drain() == []
    world.exit(0)
    assert [place.generation for place in world.places(Phase.RETIRING)] == [2, 3]


# Stop


def test_a_graceful_stop_goes_on_serving_for_the_shutdown_delay() -> None:
    world = World(Wanted(1, shutdown_delay=5.0))
    world.get_ready()
    world.drain()
    world.happen(StopAsked(Ending.GRACEFUL))
    assert next_deadline(world.fleet) == world.now + 5.0
    world.pass_time(4.9)
    assert world.drain() == []
    assert overdue(world.fleet, world.now + 0.1) == DelayPassed()
    world.pass_time(0.1)
    assert world.drain() == [Retire(0, (), for_good=True)]


@pytest.mark.parametrize("ending", [Ending.GRACEFUL, Ending.FAST])
def test_a_second_stop_does_not_wait_for_the_shutdown_delay(ending: Ending) -> None:
    world = World(Wanted(1, shutdown_delay=5.0))
    world.get_ready()
    world.happen(StopAsked(Ending.GRACEFUL))
    world.happen(StopAsked(ending))
    assert world.fleet.ending is ending
    assert overdue(world.fleet, world.now + 5.0) is None


def test_a_graceful_stop_asks_all_workers_to_leave_and_ends_with_the_last() -> None:
    world = serving(2)
    world.happen(StopAsked(Ending.GRACEFUL))
    assert world.drain() == [Retire(0, (), for_good=True), Retire(1, (), for_good=True)]
    world.exit(0)
    assert not world.finished
    world.exit(1)
    assert world.drain() == [Finish(Ending.GRACEFUL, "")]


def test_a_graceful_stop_kills_who_does_not_leave_in_time() -> None:
    world = serving(1)
    world.happen(StopAsked(Ending.GRACEFUL))
    world.pass_time(world.fleet.wanted.graceful_timeout + KILL_MARGIN)
    assert world.drain()[-1] == Kill(0, "graceful_timeout passed")


def test_a_fast_stop_kills_all_workers_whatever_they_do() -> None:
    world = serving(2)
    reloading(world)
    world.get_ready()
    world.drain()
    world.happen(StopAsked(Ending.FAST))
    assert {each.key for each in world.drain() if isinstance(each, Kill)} == set(world.alive) == {0, 1, 2, 3}
    world.obey()
    assert world.drain() == [Finish(Ending.FAST, "")]


def test_a_fast_stop_after_a_graceful_one_kills_who_is_left() -> None:
    world = serving(2)
    world.happen(StopAsked(Ending.GRACEFUL))
    world.exit(0)
    world.drain()
    world.happen(StopAsked(Ending.FAST))
    assert world.drain() == [Kill(1, "fast")]
    world.exit(1)
    assert world.drain() == [Finish(Ending.FAST, "")]


@pytest.mark.parametrize("first", [Ending.GRACEFUL, Ending.FAST])
def test_a_second_graceful_stop_changes_nothing(first: Ending) -> None:
    world = serving(1)
    world.happen(StopAsked(first))
    world.drain()
    world.happen(StopAsked(Ending.GRACEFUL))
    assert (world.drain(), world.fleet.ending) == ([], first)


def test_a_stop_during_a_crash_loop_does_not_hide_it() -> None:
    world = World(Wanted(2, max_spawn_failures=1))
    world.exit(0)
    world.happen(StopAsked(Ending.FAST))
    world.obey()
    assert world.done[-1] == Finish(Ending.CRASH_LOOP, "exit status 1")


def test_a_stop_during_a_reload_ends_both_generations_and_reports_no_reload() -> None:
    world = serving(2)
    reloading(world)
    world.happen(StopAsked(Ending.GRACEFUL))
    assert world.drain() == [Retire(0, (), for_good=True), Retire(1, (), for_good=True), Retire(2, (), for_good=True)]
    world.get_ready()
    world.obey()
    assert world.drain() == [Finish(Ending.GRACEFUL, "")]


def test_a_stop_after_a_reload_tells_those_who_leave_already_that_nobody_stays() -> None:
    world = serving(1)
    reloading(world)
    world.get_ready()
    world.drain()
    world.happen(StopAsked(Ending.GRACEFUL))
    assert world.drain() == [Retire(0, (), for_good=True), Retire(1, (), for_good=True)]


def test_a_stop_does_not_wait_for_a_slot_without_a_worker() -> None:
    world = serving(1)
    world.exit(0)
    world.drain()
    world.happen(StopAsked(Ending.GRACEFUL))
    assert world.drain() == [Finish(Ending.GRACEFUL, "")]


def test_a_fleet_that_waits_for_nothing_has_no_deadline() -> None:
    assert next_deadline(serving(2).fleet) is None
    assert overdue(serving(2).fleet, 10.0**9) is None


def test_the_next_deadline_is_the_first_of_all() -> None:
    world = World(Wanted(2, boot_timeout=5))
    world.pass_time(1)
    world.exit(0)
    assert next_deadline(world.fleet) == world.now
    world.pass_time(0)
    assert next_deadline(world.fleet) == world.now + 4


# Any order of events

GRACEFUL, DELAY = 10.0, 3.0  # seconds
TIMES = st.sampled_from([0.0, 0.05, 1.0, 5.0, 12.0, 40.0])


class AnyOrder(RuleBasedStateMachine):
    """Whatever the kernel and people do, in any order; the world checks each decision."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Wanted(2, boot_timeout=5.0, graceful_timeout=GRACEFUL, max_old_generations=1))
        self.newest = 1

    @precondition(lambda self: self.world.booting)
    @rule(pick=st.integers(0, 100))
    def a_worker_gets_ready(self, pick: int) -> None:
        booting = sorted(self.world.booting)
        self.world.get_ready(booting[pick % len(booting)])

    @precondition(lambda self: self.world.booting)
    @rule()
    def all_workers_get_ready(self) -> None:
        self.world.get_ready()

    @precondition(lambda self: self.world.alive)
    @rule(pick=st.integers(0, 100))
    def a_worker_dies(self, pick: int) -> None:
        alive = sorted(self.world.alive)
        self.world.exit(alive[pick % len(alive)])

    @precondition(lambda self: self.world.places(Phase.READY))
    @rule(pick=st.integers(0, 100))
    def a_worker_hangs(self, pick: int) -> None:
        ready = self.world.places(Phase.READY)
        self.world.happen(HeartbeatStale(ready[pick % len(ready)].key))

    @precondition(lambda self: self.world.fresh)
    @rule(pick=st.integers(0, 100))
    def a_worker_is_worn(self, pick: int) -> None:
        fresh = sorted(self.world.fresh)
        self.world.wear(fresh[pick % len(fresh)])

    @rule()
    def those_who_were_told_leave(self) -> None:
        self.world.obey()

    @rule(seconds=TIMES)
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(fail=st.booleans())
    def forks_fail_from_now_on_or_not(self, *, fail: bool) -> None:
        self.world.forks_fail = fail

    @precondition(lambda self: self.world.fleet.ending is None)
    @rule(workers=st.integers(0, 4), surge=st.integers(1, 2), delay=st.sampled_from([0.0, DELAY]))
    def a_reload_is_asked(self, workers: int, surge: int, delay: float) -> None:
        self.newest += 1
        before = self.world.fleet.wanted
        wanted = replace(before, generation=self.newest, workers=workers, surge=surge, shutdown_delay=delay)
        self.world.happen(ReloadAsked(wanted))

    @precondition(lambda self: self.world.fleet.ending is None)
    @rule(workers=st.integers(0, 4))
    def a_resize_is_asked(self, workers: int) -> None:
        self.world.happen(ResizeAsked(workers))

    @precondition(lambda self: not self.world.finished)
    @rule(ending=st.sampled_from([Ending.GRACEFUL, Ending.FAST]), sure=st.integers(0, 3))
    def a_stop_is_asked(self, ending: Ending, sure: int) -> None:
        if not sure:
            self.world.happen(StopAsked(ending))

    @invariant()
    def a_finished_service_has_no_workers(self) -> None:
        if self.world.finished:
            assert not self.world.alive
            assert not self.world.fleet.places

    def teardown(self) -> None:
        """Whatever came before: the workers that nobody disturbs get ready; a stop ends what there is, in time."""
        world = self.world
        if world.fleet.ending is None:
            self._settle()
        asked = world.now
        if not world.finished:
            world.happen(StopAsked(Ending.GRACEFUL))
        while not world.finished:
            assert world.killed or next_deadline(world.fleet) is not None, "nothing will ever happen"
            world.exit(*sorted(world.killed))  # they ignore being asked to leave
            deadline = next_deadline(world.fleet)
            if deadline is not None:
                world.pass_time(max(0.0, deadline - world.now))
        assert world.now - asked <= DELAY + DUMP_TIME + GRACEFUL + KILL_MARGIN

    def _settle(self) -> None:
        world = self.world
        world.forks_fail = False
        for _ in range(40):
            world.obey()
            world.get_ready()
            world.pass_time(LONGEST_BACKOFF)
        if world.fleet.ending is not None:  # the failures that were under way were too many for a start
            return
        wanted = world.fleet.wanted
        ready = [(place.slot, place.generation, place.phase) for place in world.fleet.places.values()]
        assert sorted(ready) == [(slot, wanted.generation, Phase.READY) for slot in range(wanted.workers)]
        assert world.fleet.fallback is None
        assert world.fleet.announced
        assert next_deadline(world.fleet) is None


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
