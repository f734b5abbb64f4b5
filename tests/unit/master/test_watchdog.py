"""When systemd is told that the service is alive, received at a real socket."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from prefork.logs.log import Log
from prefork.master.fleet import Ending, Fleet, HeartbeatStale, Phase, Place, StopAsked, Wanted
from prefork.master.watchdog import Watchdog, serves, watchdog_interval
from prefork.systemd import Notifier
from tests.unit.master.world import World, reloading, serving

Hear = Callable[[], list[str]]


def watching(notifier: Notifier, world: World, interval: float = 8.0) -> Watchdog:
    return Watchdog(interval, notifier, lambda: world.fleet, Log("master", "info"))


def test_systemd_hears_twice_in_each_interval_however_often_the_master_wakes(notifier: Notifier, hear: Hear) -> None:
    watchdog = watching(notifier, serving())
    moments = []
    for now in range(1000, 1024):
        watchdog.expire(float(now))
        if hear() == ["WATCHDOG=1"]:
            moments.append(now)
            assert watchdog.next_deadline() == now + 4.0
    assert moments == [1000, 1004, 1008, 1012, 1016, 1020]


def test_without_an_interval_it_never_wakes_anybody(notifier: Notifier, hear: Hear) -> None:
    watchdog = watching(notifier, serving(), 0.0)
    watchdog.expire(1000.0)
    assert watchdog.next_deadline() is None
    assert hear() == []


def test_workers_that_all_hang_and_don_t_die_are_told_by_silence_until_others_serve(
    notifier: Notifier, hear: Hear, capfd: pytest.CaptureFixture[str]
) -> None:
    world = serving(2)
    watchdog = watching(notifier, world)
    for place in world.places(Phase.READY):
        world.happen(HeartbeatStale(place.key))
    world.pass_time(2.0)
    watchdog.expire(1000.0)
    watchdog.expire(1000.8)
    assert hear() == []
    assert capfd.readouterr().err.count('watchdog not answered reason="no worker serves or dies" restart_after=8s') == 1
    world.exit(*[place.key for place in world.places(Phase.HUNG)])
    watchdog.expire(1001.6)
    assert hear() == ["WATCHDOG=1"]
    assert "watchdog answered again" in capfd.readouterr().err


def test_one_that_serves_is_enough() -> None:
    world = serving(3)
    world.happen(HeartbeatStale(world.of_slot(0, Phase.READY).key))
    world.exit(world.of_slot(1, Phase.READY).key)
    assert serves(world.fleet)


def test_a_reload_and_the_loss_of_all_workers_are_no_reason_to_start_again() -> None:
    world = serving(2)
    reloading(world)
    assert serves(world.fleet)
    world.exit(*world.alive)
    assert serves(world.fleet)


def test_a_crash_loop_is_none_either_as_the_next_start_would_fail_for_good() -> None:
    world = serving(1)
    for _ in range(20):
        world.exit(*world.alive)
        assert serves(world.fleet)
        world.pass_time(60.0)
    world.get_ready()
    assert serves(world.fleet)


def test_a_service_that_starts_or_ends_or_has_no_workers_on_purpose_is_well() -> None:
    assert serves(Fleet(Wanted(2)))
    drained = replace(serving(2).fleet, places={}, wanted=Wanted(0))
    assert serves(drained)
    world = serving(1)
    world.happen(StopAsked(Ending.GRACEFUL))
    assert serves(world.fleet)


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_gives_hope_or_not(phase: Phase) -> None:
    fleet = replace(serving(1).fleet, places={1: Place(1, 0, 1, phase=phase)})
    assert serves(fleet) is (phase in (Phase.EMPTY, Phase.STARTING, Phase.READY, Phase.BACKOFF))


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "x"}, 0.0),
        ({"WATCHDOG_USEC": "0"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_interval_is_that_of_this_process(environ: dict[str, str], interval: float) -> None:
    assert watchdog_interval(environ, 7) == interval
