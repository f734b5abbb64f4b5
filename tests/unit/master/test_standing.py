"""The line that a person reads in `systemctl status`."""

from msgspec.structs import replace

from prefork.master.fleet import (
    DumpStacks,
    Ending,
    HeartbeatStale,
    Kill,
    Phase,
    Reloaded,
    ReloadFailed,
    Respawn,
    StopAsked,
    Wanted,
)
from prefork.master.outcomes import News, UpgradeFailed
from prefork.master.standing import Past, remembered, standing
from tests.unit.master.world import World, reloading, serving


def line(world: World, connections: int = 0, past: Past | None = None) -> str:
    return standing(world.fleet, connections, past or Past())


def after(world: World, *news: News, past: Past | None = None) -> Past:
    return remembered(past or Past(), world.fleet, news, "12:03:04")


def test_it_says_what_serves() -> None:
    assert line(serving(4, generation=3), 1204) == "4 workers, generation 3, 1,204 connections"
    assert line(serving(1), 1) == "1 worker, generation 1, 1 connection"


def test_it_says_how_many_are_missing() -> None:
    world = serving(4)
    world.exit(*list(world.alive)[:2])
    assert line(world) == "2 of 4 workers, generation 1, 0 connections"


def test_a_start_says_how_far_it_is() -> None:
    world = World(Wanted(3))
    assert line(world) == "starting: 0 of 3 workers ready"
    world.get_ready(min(world.booting))
    assert line(world) == "starting: 1 of 3 workers ready"


def test_a_reload_under_way_is_told() -> None:
    world = serving(2)
    reloading(world)
    assert line(world, 5) == "2 workers, generation 2, 5 connections, replacing generation 1"


def test_what_waits_for_a_restart_is_told() -> None:
    world = serving(2)
    world.fleet = replace(world.fleet, wanted=replace(world.fleet.wanted, at_restart=("user", "pid_file")))
    assert line(world, 5) == "2 workers, generation 1, 5 connections; only a restart changes user, pid_file"


def test_a_reload_that_failed_is_told_until_one_succeeds() -> None:
    world = serving(4, generation=3)
    past = after(world, ReloadFailed(4, 3, "hello.toml:2: workers: no"))
    assert line(world, 7, past) == (
        "4 workers, generation 3, 7 connections; last reload 12:03:04 failed: hello.toml:2: workers: no"
    )
    past = after(world, Reloaded(5), past=past)
    assert line(world, 7, past) == "4 workers, generation 3, 7 connections; last reload 12:03:04"


def test_an_upgrade_that_failed_is_told() -> None:
    past = after(serving(1), UpgradeFailed(1, "ImportError"))
    assert past.reload == "last upgrade 12:03:04 failed: ImportError"


def test_a_worker_that_died_is_told_with_the_reason() -> None:
    past = after(serving(1), Respawn(0, "killed by SIGKILL, out of memory", 0.0))
    assert past.failure == "worker 0 failed 12:03:04: killed by SIGKILL, out of memory"


def test_of_a_worker_that_hangs_it_is_told_since_when_until_it_is_known_to_have_failed() -> None:
    world = serving(2)
    key = world.of_slot(1, Phase.READY).key
    world.happen(HeartbeatStale(key))
    past = after(world, DumpStacks(key))
    assert past.failure == "worker 1 hangs since 12:03:04"
    past = after(world, Respawn(1, "hang_timeout passed", 0.0), past=past)
    assert past.failure == "worker 1 failed 12:03:04: hang_timeout passed"


def test_a_worker_that_was_leaving_in_any_case_is_no_failure() -> None:
    world = serving(2)
    reloading(world)
    world.get_ready(min(world.booting))
    key = world.places(Phase.RETIRING)[0].key
    assert after(world, Kill(key, "graceful_timeout passed")) == Past()


def test_the_end_is_told_step_by_step() -> None:
    world = serving(2)
    world.fleet = replace(world.fleet, wanted=replace(world.fleet.wanted, shutdown_delay=9.0))
    world.happen(StopAsked(Ending.GRACEFUL))
    assert line(world, 3) == "stopping after shutdown_delay: 2 workers, generation 1, 3 connections"
    world.pass_time(10.0)
    assert line(world, 3) == "stopping: 2 workers left, 3 connections"
    world.obey()
    assert line(world) == "stopped"


def test_a_start_that_was_given_up_says_why() -> None:
    world = World(Wanted(1, max_spawn_failures=2))
    world.exit(*world.alive)
    world.pass_time(60.0)
    world.exit(*world.alive)
    assert line(world) == "gave up: 2 workers in a row failed: exit status 1"
