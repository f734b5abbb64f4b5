"""Workers are killed in the middle of their replacement: at most what they held is lost, and the log says how many."""

import os
import re
from contextlib import suppress
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP

from tests.process.clients import Client, Load
from tests.process.hello import Hello
from tests.process.installing import HELD_BOOT, Installation
from tests.process.starting import Start

CLIENTS = 400


def start_held(start: Start, installed: Installation) -> Hello:
    """Start a service all of whose workers after the first two are held when they begin."""
    installed.replace(run_roles=HELD_BOOT)
    start.files = {"go": ""}
    hello = start("workers = 2", environ=installed.environ)
    (hello.folder / "go").unlink()
    return hello


def test_a_successor_that_is_killed_fails_the_reload_and_costs_nothing(start: Start, installed: Installation) -> None:
    hello = start_held(start, installed)
    with Load(hello.connect) as load:
        hello.signal(SIGHUP)
        (successor,) = hello.wait_for_workers(3) - set(hello.descriptors)
        os.kill(successor, SIGKILL)
        hello.wait_for_log('reload failed generation=2 kept=1 reason="killed by SIGKILL"')
        load.wait_for_more()
    assert load.lost == []
    assert hello.worker_pids() == set(hello.descriptors)


def test_a_predecessor_that_is_killed_while_its_successor_starts(start: Start, installed: Installation) -> None:
    hello = start_held(start, installed)
    predecessor, _ = hello.in_slots()
    hello.signal(SIGHUP)
    hello.wait_for_workers(3)
    os.kill(predecessor, SIGKILL)
    hello.let_go()
    hello.wait_for_log(" reloaded generation=2 ")
    hello.wait_for_workers(2, without=hello.descriptors)
    assert all(hello.get().status_code == 200 for _ in range(40))


def with_idle_clients(start: Start) -> tuple[Hello, list[Client]]:
    hello = start('workers = 1\nlog_level = "debug"')  # which tells of none that moved, too
    clients = [hello.connect() for _ in range(CLIENTS)]
    assert all(client.ask().status == 200 for client in clients)
    return hello, clients


def count_of(hello: Hello, event: str) -> int:
    """Wait for an event that tells a count, and return this."""
    place = hello.wait_for_log("\n", hello.wait_for_log(f"{event} count="))
    return int(hello.log[:place].rpartition("=")[2])


def total(hello: Hello, worker: int, event: str) -> int:
    """Return how many connections a worker has told this of, in all."""
    return sum(map(int, re.findall(rf"\[{worker}\] connections {event} count=(\d+)", hello.log)))


def lost(clients: list[Client]) -> int:
    return sum(not client.is_served() for client in clients)


def test_a_predecessor_that_is_killed_while_connections_move_loses_those_that_have_not(start: Start) -> None:
    for _ in range(6):
        hello, clients = with_idle_clients(start)
        (predecessor,) = hello.worker_pids()
        hello.signal(SIGHUP)
        hello.wait_for_log("worker ready slot=0", hello.wait_for_log(" reloading "))
        with suppress(ProcessLookupError):  # all have moved already
            os.kill(predecessor, SIGKILL)
        taken_over = count_of(hello, "connections taken over")
        assert lost(clients) == CLIENTS - taken_over
        hello.wait_for_workers(1, without=[predecessor])
        hello.leave()  # else it closes so many little by little
        hello.stop()


def test_a_successor_that_is_killed_while_connections_move_loses_those_that_have(start: Start) -> None:
    for _ in range(6):
        hello, clients = with_idle_clients(start)
        (predecessor,) = hello.worker_pids()
        hello.signal(SIGHUP)
        place = hello.wait_for_log(
            " generation=2", hello.wait_for_log("worker ready", hello.wait_for_log(" reloading "))
        )
        successor = int(re.findall(r"pid=(\d+)", hello.log[:place])[-1])
        os.kill(successor, SIGKILL)
        hello.wait_for_log(f"worker exited slot=0 pid={successor}")
        missing = lost(clients)
        (another,) = hello.wait_for_workers(1, without=[successor, predecessor])
        assert hello.get().status_code == 200
        hello.leave()  # else it closes so many little by little
        hello.stop()
        # Some, or all, may have stayed until there was another successor to take them.
        assert missing == total(hello, predecessor, "handed over") - total(hello, another, "taken over")


def test_a_worker_that_is_behind_hands_over_to_the_next_when_its_successor_was_killed(start: Start) -> None:
    hello = start("workers = 1\nkeep_alive_timeout = 60")
    (predecessor,) = hello.worker_pids()
    clients = [hello.connect() for _ in range(5)]
    assert all(client.ask().status == 200 for client in clients)
    os.kill(predecessor, SIGSTOP)
    hello.signal(SIGHUP)
    hello.wait_for_log(" reloaded generation=2 ")
    (successor,) = hello.worker_pids() - {predecessor}
    os.kill(successor, SIGKILL)
    hello.wait_for_log(" generation=2", hello.wait_for_log("worker ready", hello.wait_for_log("worker failed")))
    os.kill(predecessor, SIGCONT)
    hello.wait_for_workers(1, without=[predecessor, successor])
    assert lost(clients) == 0
