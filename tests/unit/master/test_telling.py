"""When systemd is told of the service, received at a real socket."""

import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from prefork.ipc.channel import channel_pair
from prefork.ipc.scoreboard import CONNECTIONS, Scoreboard
from prefork.master.fleet import Reloaded, ReloadFailed, Respawn, Wanted
from prefork.master.processes import Process
from prefork.master.stacks import Stacks, stacks_pipe
from prefork.master.telling import LOOK, PAUSE, Telling
from prefork.systemd import Notifier
from tests.unit.master.world import World, reloading, serving

Hear = Callable[[], list[str]]


class Service:
    """A fleet and its one process, whose connections a test sets."""

    def __init__(self, path: str, world: World, process: Process) -> None:
        self.world = world
        self.process = process
        self.telling = Telling(Notifier({"NOTIFY_SOCKET": path}), lambda: world.fleet, lambda: {0: process})


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
def service(service_manager: socket.socket, process: Process) -> Service:
    return Service(service_manager.getsockname(), serving(2), process)


def test_a_line_that_has_not_changed_is_told_once(service: Service, hear: Hear) -> None:
    for now in range(1000, 1030):
        service.telling.expire(float(now))
    assert hear() == ["STATUS=2 workers, generation 1, 0 connections"]


def test_what_nobody_tells_of_is_looked_at_now_and_then(service: Service, hear: Hear) -> None:
    told = []
    for now in range(1000, 1020):
        service.process.row[CONNECTIONS] = now
        service.telling.expire(float(now))
        told += [now for _ in hear()]
    assert told == [1000, 1000 + LOOK, 1000 + 2 * LOOK, 1000 + 3 * LOOK]


def test_what_came_of_a_reload_is_told_at_once(service: Service, hear: Hear) -> None:
    service.telling.expire(1000.0)
    service.telling.observe(service.world.fleet, [ReloadFailed(2, 1, "no such file")])
    service.telling.observe(service.world.fleet, [Reloaded(3)])
    _, second, third = hear()
    assert second.endswith(" failed: no such file")
    assert "; last reload " in third
    assert not third.endswith("no such file")


def test_a_storm_of_failures_is_told_with_pauses(service: Service, hear: Hear) -> None:
    told = []
    for tenth in range(100):
        now = 1000 + tenth / 10
        service.telling.observe(service.world.fleet, [Respawn(0, f"exit status {tenth}", 0.0)])
        service.telling.expire(now)
        told += [now for _ in hear()]
    assert told == [1000 + n * PAUSE for n in range(5)]


def test_a_slow_start_and_a_slow_reload_ask_for_time(
    service_manager: socket.socket, process: Process, hear: Hear
) -> None:
    service = Service(service_manager.getsockname(), World(Wanted(2)), process)
    service.telling.expire(1000.0)
    service.telling.expire(1000.0 + LOOK)
    assert hear()[1:] == ["EXTEND_TIMEOUT_USEC=15000000"] * 2
    service.world.get_ready()
    service.telling.expire(1000.0 + 2 * LOOK)
    assert hear() == ["STATUS=2 workers, generation 1, 0 connections"]
    reloading(service.world)
    service.telling.expire(1000.0 + 3 * LOOK)
    assert hear()[1:] == ["EXTEND_TIMEOUT_USEC=15000000"]


def test_without_systemd_nobody_is_woken(process: Process) -> None:
    world = serving(1)
    telling = Telling(Notifier({}), lambda: world.fleet, lambda: {0: process})
    telling.expire(time.monotonic())
    telling.observe(world.fleet, [Reloaded(2)])
    assert telling.next_deadline() is None
