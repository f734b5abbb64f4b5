"""How workers are replaced by a reload, for fewer or more, or since they are worn."""

from prefork.master.fleet import (
    KILL_MARGIN,
    LEAVING_TIME,
    Fleet,
    HeartbeatStale,
    Kill,
    Phase,
    Place,
    ReloadAsked,
    Reloaded,
    ReloadFailed,
    ResizeAsked,
    Respawn,
    Retire,
    ServiceReady,
    Spawn,
    TakeOver,
    Wanted,
)
from prefork.master.supervisor import vacant
from tests.unit.master.world import World, reloading, serving

GRACEFUL = Wanted(1).graceful_timeout

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


def test_a_predecessor_that_hears_of_an_heir_at_its_last_moment_is_killed_in_time_and_not_taken_to_have_left() -> None:
    world = serving(1)
    world.busy = True
    reloading(world)
    world.get_ready(1)
    told = world.now
    world.exit(1)
    world.leave(0)
    world.pass_time(GRACEFUL + KILL_MARGIN - 0.1)
    world.get_ready(1)
    assert Retire(0, (1,), for_good=False) in world.drain()
    world.pass_time(told + GRACEFUL + KILL_MARGIN - world.now)
    assert world.drain() == [Kill(0, "graceful_timeout passed")]
    world.exit(0)
    assert world.drain() == [Reloaded(2)]


def test_a_reload_waits_for_predecessors_that_still_answer() -> None:
    world = serving(2)
    world.busy = True
    reloading(world)
    world.get_ready()
    world.get_ready()
    world.leave(1)
    assert not world.count(Reloaded)
    world.leave(0)
    assert world.drain()[-1] == Reloaded(2)


def test_a_reload_waits_no_longer_for_a_predecessor_that_has_died() -> None:
    world = serving(1)
    world.busy = True
    reloading(world)
    world.get_ready()
    world.exit(0)
    assert world.drain()[-1] == Reloaded(2)


def test_a_reload_does_not_wait_for_long_for_a_predecessor_that_is_stuck() -> None:
    world = serving(1)
    world.busy = True
    reloading(world)
    world.get_ready()
    world.pass_time(LEAVING_TIME - 0.1)
    assert not world.count(Reloaded)
    world.pass_time(0.1)
    assert world.drain()[-1] == Reloaded(2)
    world.pass_time(world.fleet.wanted.graceful_timeout + KILL_MARGIN - LEAVING_TIME)
    assert world.drain() == [Kill(0, "graceful_timeout passed")]


def test_a_reload_does_not_wait_for_a_worker_of_its_own_that_is_replaced() -> None:
    world = serving(1)
    reloading(world)
    world.busy = True
    world.get_ready()
    world.wear(1)
    world.get_ready()
    world.leave(0)
    assert world.drain()[-1] == Reloaded(2)


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
    assert world.drain() == [ReloadFailed(2, 1, "exit status 3")]
    assert [place.key for place in world.places(*Phase)] == [0, 1]


def test_a_reload_whose_later_worker_fails_rolls_back_to_the_old_generation() -> None:
    world = serving(2)
    reloading(world)
    world.get_ready(2)
    world.drain()
    world.exit(3, reason="exit status 3")
    assert world.drain() == [ReloadFailed(2, 1, "exit status 3"), Spawn(4, 0, 1)]
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
    assert world.drain()[-1] == ReloadFailed(2, 1, "boot_timeout passed")
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
    assert world.drain() == [
        Retire(0, (2,), for_good=False),  # now there is somebody to whom they can hand over
        Retire(1, (2,), for_good=False),
        ServiceReady(),
        Reloaded(2),
    ]


def test_a_worker_that_leaves_is_told_of_another_heir_when_its_own_has_died() -> None:
    world = serving(2)
    reloading(world)
    world.get_ready(2)
    world.get_ready(3)
    world.drain()
    world.exit(2)
    assert Retire(0, (3,), for_good=False) in world.drain()
    world.exit(3)
    assert world.count(Retire) == 0
    world.pass_time(0)
    world.get_ready(3)
    assert world.drain()[-2:] == [Retire(0, (3,), for_good=False), Retire(1, (3,), for_good=False)]


def test_a_worker_that_leaves_during_a_reload_hands_over_only_to_those_that_stay() -> None:
    world = serving(3)
    reloading(world)
    world.get_ready()
    world.drain()
    world.happen(ResizeAsked(2))
    assert world.drain()[-1] == Retire(2, (3,), for_good=False)


def test_a_worker_that_has_been_killed_is_told_of_no_other_heir() -> None:
    world = serving(2)
    reloading(world)
    world.get_ready(2)
    world.get_ready(3)
    world.pass_time(world.fleet.wanted.graceful_timeout + KILL_MARGIN)
    world.drain()
    world.exit(2)
    assert world.killed == {0, 1}
    assert world.count(Retire) == 0


def test_a_reload_waits_anew_for_a_predecessor_that_is_told_of_another_heir() -> None:
    world = serving(2)
    world.busy = True
    reloading(world)
    world.get_ready(2)
    world.get_ready(3)
    world.leave(1)
    world.pass_time(LEAVING_TIME - 1)
    world.exit(2)
    world.pass_time(1)
    world.get_ready()
    assert not world.count(Reloaded)
    world.pass_time(LEAVING_TIME - 1)
    assert world.drain()[-1] == Reloaded(2)


def test_a_reload_replaces_a_worker_that_waits_for_its_next_fork() -> None:
    world = serving(1)
    world.exit(0)
    assert reloading(world) == [Spawn(1, 0, 2)]
    assert [place.key for place in world.places(*Phase)] == [1]


def test_a_worker_that_dies_during_a_reload_is_replaced_by_the_new_generation_at_once() -> None:
    world = serving(2)
    reloading(world)
    world.exit(1, reason="killed by SIGSEGV")
    assert world.drain() == [Respawn(1, "killed by SIGSEGV", 0.0), Spawn(3, 1, 2)]


def test_a_reload_replaces_a_worker_that_hangs_besides_those_that_surge_allows() -> None:
    world = serving(3)
    world.happen(HeartbeatStale(2))
    assert reloading(world) == [Spawn(3, 2, 2), Spawn(4, 0, 2)]


def test_nobody_is_replaced_while_more_have_a_successor_beside_them_than_surge_allows() -> None:
    """As after a reload that went past two workers that hang, and then failed."""
    old = [Place(key, key, 1, Phase.HUNG) for key in (0, 1)]
    new = [Place(4 + slot, slot, 2, Phase.READY) for slot in range(4)]
    fleet = Fleet(Wanted(4, 1), {each.key: each for each in (*old, *new)})
    assert list(vacant(fleet)) == []


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
