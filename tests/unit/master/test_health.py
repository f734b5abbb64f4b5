"""Whether a service is well, by its places and their heartbeats."""

import pytest

from prefork.ipc.control import Answer
from prefork.master.fleet import Ending, HeartbeatStale, Phase, StopAsked, Wanted
from prefork.master.health import health
from tests.unit.master.world import World, serving


def ages(world: World, age: float) -> dict[int, float]:
    return dict.fromkeys(world.fleet.places, age)


def test_one_worker_that_is_ready_and_beats_is_enough() -> None:
    world = serving(3)
    first, *others = world.places(Phase.READY)
    world.exit(others[0].key)
    assert health(world.fleet, {first.key: 0.1, others[1].key: 99.0}, 30.0) == Answer("1 of 3 workers ready")


@pytest.mark.parametrize(
    ("hang_timeout", "age", "status"), [(30.0, 29.0, 0), (30.0, 31.0, 1), (0.0, 31.0, 0), (0.0, 61.0, 1)]
)
def test_a_worker_that_does_not_beat_is_not_ready(hang_timeout: float, age: float, status: int) -> None:
    world = serving(2)
    answer = health(world.fleet, ages(world, age), hang_timeout)
    assert answer.exit_status == status
    assert not status or answer.message == "no worker answers: 2 ready, but quiet for longer than hang_timeout"


def test_what_the_workers_are_instead_of_ready_is_told() -> None:
    world = World(Wanted(2))
    assert health(world.fleet, ages(world, 0.1), 30.0) == Answer("no worker is ready: 2 starting", 1)
    world.get_ready()
    first, second = world.places(Phase.READY)
    world.happen(HeartbeatStale(first.key))
    world.exit(second.key)
    assert health(world.fleet, {}, 30.0) == Answer("no worker is ready: 1 hung, 1 backoff", 1)
    assert health(World(Wanted(0)).fleet, {}, 30.0) == Answer("no worker is ready: none", 1)


def test_a_service_that_ends_is_not_well_though_it_accepts() -> None:
    world = serving(2)
    world.fleet = World(Wanted(2, shutdown_delay=9.0)).fleet
    world.happen(StopAsked(Ending.GRACEFUL))
    assert health(world.fleet, ages(world, 0.1), 30.0) == Answer("the service is stopping", 1)
