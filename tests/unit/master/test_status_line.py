"""The line that a person reads in `systemctl status`, and when systemd is told it, received at a real socket."""

import os
import time
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from prefork.ipc.channel import channel_pair
from prefork.ipc.control import LastReload
from prefork.ipc.scoreboard import CONNECTIONS, Scoreboard
from prefork.master.fleet import (
    DumpStacks,
    Ending,
    Finish,
    HeartbeatStale,
    Kill,
    Phase,
    Reloaded,
    ReloadFailed,
    ResizeAsked,
    Respawn,
    Retire,
    ServiceReady,
    StopAsked,
    Wanted,
)
from prefork.master.outcomes import News, UpgradeFailed
from prefork.master.processes import Process
from prefork.master.stacks import Stacks, stacks_pipe
from prefork.master.status_line import LOOK, PAUSE, Past, StatusLine, remembered, status_line
from prefork.systemd import Notifier
from tests.unit.master.world import World, reloading, serving


def line(world: World, connections: int = 0, past: Past | None = None) -> str:
    return status_line(world.fleet, connections, past or Past())


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


def test_what_the_commands_tell_of_the_last_reload_is_remembered_too() -> None:
    past = after(serving(1), ReloadFailed(4, 3, "no"))
    assert past.last_reload == LastReload(4, "failed", "no")
    assert after(serving(1), UpgradeFailed(1, "ImportError"), past=past).last_reload == past.last_reload
    assert after(serving(1), Reloaded(5), past=past).last_reload == LastReload(5, "succeeded")


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


def test_a_service_without_workers_goes_on() -> None:
    world = serving(1)
    world.happen(ResizeAsked(0))
    world.obey()
    assert line(world) == "0 workers, generation 1, 0 connections"


def test_a_start_that_was_given_up_says_why() -> None:
    world = World(Wanted(1, max_spawn_failures=2))
    world.exit(*world.alive)
    world.pass_time(60.0)
    world.exit(*world.alive)
    assert line(world) == "gave up: 2 workers in a row failed: exit status 1"


Hear = Callable[[], list[str]]


class Service:
    """A fleet and its one process, whose connections a test sets."""

    def __init__(self, notifier: Notifier, world: World, process: Process) -> None:
        self.world = world
        self.process = process
        self.line = StatusLine(notifier, lambda: world.fleet, lambda: {0: process})


@pytest.fixture
def process() -> Iterator[Process]:
    scoreboard = Scoreboard()
    ours, theirs = channel_pair()
    reader, writer = stacks_pipe()
    yield Process(1, 1, ours, scoreboard.take(), set(), Stacks(reader))
    ours.close()
    theirs.close()
    for fd in (reader, writer, scoreboard.fd):
        os.close(fd)


@pytest.fixture
def service(notifier: Notifier, process: Process) -> Service:
    return Service(notifier, serving(2), process)


def test_a_line_that_has_not_changed_is_told_once(service: Service, hear: Hear) -> None:
    for now in range(1000, 1030):
        service.line.expire(float(now))
    assert hear() == ["STATUS=2 workers, generation 1, 0 connections"]


def test_what_nobody_tells_of_is_looked_at_now_and_then(service: Service, hear: Hear) -> None:
    told = []
    for now in range(1000, 1020):
        service.process.row[CONNECTIONS] = now
        service.line.expire(float(now))
        told += [now for _ in hear()]
    assert told == [1000, 1000 + LOOK, 1000 + 2 * LOOK, 1000 + 3 * LOOK]


def test_what_came_of_a_reload_is_told_at_once(service: Service, hear: Hear) -> None:
    service.line.expire(1000.0)
    service.line.observe(service.world.fleet, [ReloadFailed(2, 1, "no such file")])
    service.line.observe(service.world.fleet, [Reloaded(3)])
    _, second, third = hear()
    assert second.endswith(" failed: no such file")
    assert "; last reload " in third
    assert not third.endswith("no such file")


@pytest.mark.parametrize(
    "outcome", [ServiceReady(), Reloaded(1), ReloadFailed(2, 1, ""), UpgradeFailed(1, ""), Finish(Ending.FAST, "")]
)
def test_an_outcome_is_told_at_once_and_what_has_changed_since_after_a_pause(
    service: Service, hear: Hear, outcome: News
) -> None:
    before = time.monotonic()
    service.line.observe(service.world.fleet, [Retire(0, (), for_good=False), outcome])
    assert len(hear()) == 1
    due = service.line.next_deadline()
    assert due is not None
    assert before + PAUSE <= due <= time.monotonic() + PAUSE


def test_a_storm_of_failures_is_told_with_pauses(service: Service, hear: Hear) -> None:
    told = []
    for tenth in range(100):
        now = 1000 + tenth / 10
        service.line.observe(service.world.fleet, [Respawn(0, f"exit status {tenth}", 0.0)])
        service.line.expire(now)
        told += [now for _ in hear()]
    assert told == [1000 + n * PAUSE for n in range(5)]


def test_a_slow_start_and_a_slow_reload_ask_for_time(notifier: Notifier, process: Process, hear: Hear) -> None:
    service = Service(notifier, World(Wanted(2)), process)
    service.line.expire(1000.0)
    service.line.expire(1000.0 + LOOK)
    assert hear()[1:] == ["EXTEND_TIMEOUT_USEC=15000000"] * 2
    service.world.get_ready()
    service.line.expire(1000.0 + 2 * LOOK)
    assert hear() == ["STATUS=2 workers, generation 1, 0 connections"]
    reloading(service.world)
    service.line.expire(1000.0 + 3 * LOOK)
    assert hear()[1:] == ["EXTEND_TIMEOUT_USEC=15000000"]


def test_a_service_that_ends_before_it_is_ready_asks_for_no_time(
    notifier: Notifier, process: Process, hear: Hear
) -> None:
    service = Service(notifier, World(Wanted(1)), process)
    service.world.happen(StopAsked(Ending.GRACEFUL))
    service.line.expire(1000.0)
    assert hear() == ["STATUS=stopping: 1 worker left, 0 connections"]


def test_without_systemd_nobody_is_woken(process: Process) -> None:
    world = serving(1)
    telling = StatusLine(Notifier({}), lambda: world.fleet, lambda: {0: process})
    telling.expire(time.monotonic())
    telling.observe(world.fleet, [Reloaded(2)])
    assert telling.next_deadline() is None
