"""What becomes of the workers whatever the kernel and people do, in any order; a stop ends within its deadlines."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from prefork.master.fleet import (
    DUMP_TIME,
    KILL_MARGIN,
    LONGEST_BACKOFF,
    Ending,
    HeartbeatStale,
    Phase,
    ReloadAsked,
    ResizeAsked,
    StopAsked,
    Wanted,
)
from prefork.master.supervisor import next_deadline
from tests.unit.master.world import World

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

    @rule(busy=st.booleans())
    def workers_are_busy_from_now_on_or_not(self, *, busy: bool) -> None:
        self.world.busy = busy

    @precondition(lambda self: self.world.staying)
    @rule(pick=st.integers(0, 100))
    def a_worker_leaves(self, pick: int) -> None:
        staying = sorted(self.world.staying)
        self.world.leave(staying[pick % len(staying)])

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
TestAnyOrder.settings = settings(stateful_step_count=40)
