"""What becomes of the workers at start, when they fail or hang, and at the end."""

import pytest

from prefork.master.fleet import (
    DUMP_TIME,
    HEALTHY_AFTER,
    KILL_MARGIN,
    LONGEST_ABSENCE,
    LONGEST_BACKOFF,
    SHORTEST_BACKOFF,
    Action,
    DelayPassed,
    DumpStacks,
    Ending,
    Finish,
    Fleet,
    HeartbeatStale,
    Kill,
    Phase,
    Place,
    ReloadFailed,
    ResizeAsked,
    Respawn,
    Retire,
    ServiceReady,
    Spawn,
    StopAsked,
    TakeOver,
    Wanted,
    WorkerExited,
)
from prefork.master.supervisor import HANDOVER_TIME, decide, next_deadline, overdue
from prefork.master.transitions import backoff
from tests.unit.master.world import World, reloading, serving

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
    assert world.drain() == [Respawn(0, "boot_timeout passed", 0.0), Spawn(0, 0, 1)]


def test_of_one_that_has_said_why_it_cannot_get_ready_that_is_the_cause_and_not_the_kill_that_it_crossed() -> None:
    world = World(Wanted(1, boot_timeout=5))
    world.pass_time(5)
    world.exit(0, reason="wsgi:app: no such module", status=65)
    assert world.done[-1] == Finish(Ending.UNLOADABLE, "wsgi:app: no such module")


def test_a_reload_whose_workers_are_late_says_so_and_does_not_tell_of_the_signal() -> None:
    world = serving(1)
    reloading(world)
    world.pass_time(60)
    world.exit(*world.killed, reason="killed by SIGKILL")
    assert ReloadFailed(2, 1, "boot_timeout passed") in world.done


def test_readiness_that_crosses_the_kill_is_none() -> None:
    world = World(Wanted(1, boot_timeout=5, max_spawn_failures=1))
    world.pass_time(5)
    world.get_ready(0)
    assert world.count(ServiceReady) == 0
    world.exit(0, reason="killed by SIGKILL")
    assert world.done[-1] == Finish(Ending.CRASH_LOOP, "boot_timeout passed")


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


def test_what_is_no_use_to_try_again_ends_the_start_at_once() -> None:
    world = World(Wanted(3, max_spawn_failures=3))
    world.exit(1, reason="wsgi:app: no such module", status=65)
    assert world.killed == {0, 2}
    world.obey()
    assert world.done[-1] == Finish(Ending.UNLOADABLE, "wsgi:app: no such module")
    assert world.fleet.status == 65


def test_once_a_worker_was_ready_what_is_no_use_is_tried_again() -> None:
    world = World(Wanted(2))
    world.get_ready(0)
    world.exit(1, reason="wsgi:app: no such module", status=65)
    assert world.fleet.ending is None
    world.pass_time(0)
    assert len(world.alive) == 2


def test_a_reload_to_what_is_no_use_keeps_the_old() -> None:
    world = serving(2)
    reloading(world)
    world.exit(*world.booting, reason="wsgi:app: no such module", status=65)
    assert ReloadFailed(2, 1, "wsgi:app: no such module") in world.done
    assert (world.fleet.ending, world.fleet.wanted.generation) == (None, 1)


def test_forks_that_are_refused_at_start_end_the_service_with_the_reason() -> None:
    fleet, _ = decide(Fleet(Wanted(4, max_spawn_failures=3)), ResizeAsked(4), 0.0)
    actions: tuple[Action, ...] = ()
    for key in range(4):
        fleet, actions = decide(fleet, WorkerExited(key, "can't fork: out of memory"), 0.0)
    assert actions == (Finish(Ending.CRASH_LOOP, "can't fork: out of memory"),)


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
    world.pass_time(SHORTEST_BACKOFF)
    world.drain()
    world.happen(ResizeAsked(3))
    assert world.drain() == []


def test_a_slot_whose_worn_worker_still_serves_needs_nobody_else_while_it_backs_off() -> None:
    world = serving(2)
    world.wear(0)
    world.exit(2)
    world.pass_time(0)
    world.exit(2)
    assert world.places(Phase.BACKOFF)
    assert world.count(TakeOver) == 0


def test_a_worker_that_dies_is_replaced_at_once() -> None:
    world = serving()
    world.exit(1, reason="killed by SIGSEGV")
    world.pass_time(0)
    assert world.drain() == [Respawn(1, "killed by SIGSEGV", 0.0), Spawn(1, 1, 1)]


@pytest.mark.parametrize(("gets_ready", "longest"), [(False, LONGEST_BACKOFF), (True, LONGEST_ABSENCE)])
def test_a_worker_that_dies_again_and_again_is_put_off_twice_as_long_each_time(
    *, gets_ready: bool, longest: float
) -> None:
    world = serving(1)
    delays = []
    for _ in range(12):
        world.exit(0)
        (respawn,) = world.drain()
        assert isinstance(respawn, Respawn)
        delays.append(respawn.delay)
        world.pass_time(respawn.delay)
        if gets_ready:
            world.get_ready()
        world.drain()
    doubled = [SHORTEST_BACKOFF * 2**number for number in range(11)]
    assert delays == pytest.approx([0.0, *(min(each, longest) for each in doubled)])


def test_a_worker_that_hangs_again_and_again_is_put_off_no_longer_than_one_that_dies() -> None:
    world = serving(1)
    for _ in range(12):
        world.happen(HeartbeatStale(0))
        world.pass_time(DUMP_TIME)
        world.exit(0, reason="killed by SIGKILL")
        world.pass_time(LONGEST_ABSENCE)
        world.get_ready()
    assert world.drain()[-2:] == [Respawn(0, "hang_timeout passed", LONGEST_ABSENCE), Spawn(0, 0, 1)]


def test_a_worker_that_was_healthy_for_a_while_is_forgiven() -> None:
    world = serving(1)
    for _ in range(3):
        world.exit(0)
        world.pass_time(LONGEST_BACKOFF)
        world.get_ready()
    assert world.fleet.places[0].failures == 3
    world.pass_time(HEALTHY_AFTER)
    assert (world.fleet.places[0].failures, next_deadline(world.fleet)) == (0, None)


@pytest.mark.parametrize("failures", [1, 5, 10_000])
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


# Hanging


def test_a_worker_that_hangs_writes_its_stacks_and_is_killed_and_replaced() -> None:
    world = serving(1)
    world.happen(HeartbeatStale(0))
    assert world.drain() == [DumpStacks(0)]
    world.pass_time(DUMP_TIME)
    assert world.drain() == [Kill(0, "hang_timeout passed")]
    world.exit(0, reason="killed by SIGKILL")
    world.pass_time(0)
    assert world.drain() == [Respawn(0, "hang_timeout passed", 0.0), Spawn(0, 0, 1)]


def test_a_worker_that_hangs_while_the_service_ends_is_not_said_to_be_replaced() -> None:
    world = serving(1)
    world.happen(HeartbeatStale(0))
    world.happen(StopAsked(Ending.GRACEFUL))
    world.exit(0, reason="killed by SIGKILL")
    assert world.count(Respawn) == 0


def test_of_a_worker_that_dies_while_its_stacks_are_written_the_signal_is_told() -> None:
    world = serving(1)
    world.happen(HeartbeatStale(0))
    world.exit(0, reason="killed by SIGSEGV")
    assert Respawn(0, "killed by SIGSEGV", 0.0) in world.done


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


def test_workers_of_more_old_generations_than_may_linger_are_killed_when_they_had_time_to_hand_over() -> None:
    world = World(Wanted(1, max_old_generations=2))
    world.get_ready()
    for _ in range(3):
        reloading(world)
        world.get_ready()
    world.pass_time(HANDOVER_TIME / 2)
    world.happen(ResizeAsked(1))  # what else happens gives no more time
    assert world.count(Kill) == 0
    world.pass_time(HANDOVER_TIME / 2)
    assert [each for each in world.drain() if isinstance(each, Kill)] == [Kill(0, "max_old_generations exceeded")]
    world.pass_time(0)
    assert world.drain() == []
    world.exit(0)
    assert [place.generation for place in world.places(Phase.RETIRING)] == [2, 3]


def test_workers_of_the_present_generation_that_leave_are_not_counted_among_the_old() -> None:
    world = World(Wanted(1, max_old_generations=1))
    world.get_ready()
    reloading(world)
    world.get_ready()
    world.wear(1)
    world.get_ready()
    assert [(each.generation, each.outlived) for each in world.places(Phase.RETIRING)] == [(1, False), (2, False)]


def test_a_worker_that_serves_does_not_hurry_with_those_of_its_generation_that_leave() -> None:
    world = World(Wanted(2, max_old_generations=1))
    world.get_ready()
    world.exit(1)
    world.pass_time(0)
    world.get_ready()
    for _ in range(2):
        reloading(world)
        world.get_ready(max(world.booting))
    assert [(each.slot, each.outlived) for each in world.places(Phase.RETIRING)] == [(0, True), (0, False), (1, False)]
    assert not world.of_slot(1, Phase.READY).outlived


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
    world.pass_time(world.fleet.wanted.graceful_timeout)
    assert world.count(Kill) == 0  # it ends by itself at this moment
    world.pass_time(KILL_MARGIN)
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


def test_a_fast_stop_kills_a_worker_that_starts_once() -> None:
    world = World(Wanted(1, boot_timeout=5))
    world.happen(StopAsked(Ending.FAST))
    world.pass_time(5)
    assert world.drain()[1:] == [Kill(0, "fast")]


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
    assert world.fleet.fallback is None
    world.get_ready()
    world.obey()
    assert world.drain() == [Finish(Ending.GRACEFUL, "")]


def test_a_worker_that_hangs_is_given_no_sockets_of_others_once_the_service_ends() -> None:
    world = serving(2)
    for key in (0, 1):
        world.happen(HeartbeatStale(key))
    world.happen(ResizeAsked(1))
    world.happen(StopAsked(Ending.GRACEFUL))
    world.exit(1)
    assert world.count(TakeOver) == 0


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
