"""When the master is killed no process is left over, whatever it was doing, and what has begun is answered."""

import os
import random
import time
from collections.abc import Iterable
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGTTIN, SIGTTOU, Signals

import pytest

from tests.process.clients import GET, HALF_A_HEAD, Client
from tests.process.hello import Hello
from tests.process.installing import HELD_BOOT, Installation
from tests.process.starting import Start
from tests.process.test_killed_while_replaced import start_held

REST_OF_THE_HEAD = GET.removeprefix(HALF_A_HEAD)


def beginning(hello: Hello, count: int = 8) -> list[Client]:
    """Return connections whose second request has begun to arrive."""
    clients = [hello.connect() for _ in range(count)]
    for client in clients:
        assert client.ask().status == 200
        client.send(HALF_A_HEAD)
    return clients


def kill_master(hello: Hello, clients: Iterable[Client] = ()) -> None:
    """Kill the master, send the rest of the requests that have begun, and wait until nothing is left of the service."""
    hello.signal(SIGKILL)
    hello.wait_for_exit()
    hello.let_go()
    finish(hello, clients)


def finish(hello: Hello, clients: Iterable[Client]) -> None:
    for client in clients:
        answer = client.ask(REST_OF_THE_HEAD)
        assert answer.status == 200
        assert answer.is_last or client.until_closed() == b""  # its worker may not have noticed yet
        client.close()  # else its worker waits for that
    hello.wait_until_gone()


def test_workers_that_are_not_ready_when_the_master_is_killed_leave(start: Start, installed: Installation) -> None:
    installed.replace(run_roles=HELD_BOOT)
    hello = start.launch("workers = 4", environ=installed.environ)
    hello.wait_for_workers(4)
    kill_master(hello)
    assert "master gone: leaving" in hello.log
    assert "ready workers=" not in hello.log


def test_a_master_that_is_killed_at_any_moment_of_its_start_leaves_nothing(start: Start) -> None:
    for _ in range(15):
        hello = start.launch("workers = 4")
        time.sleep(random.uniform(0, 0.3))  # not a wait: the moment is what is tried
        kill_master(hello)


def test_a_master_that_is_killed_while_the_successors_start_leaves_nothing(
    start: Start, installed: Installation
) -> None:
    hello = start_held(start, installed)
    clients = beginning(hello)
    hello.signal(SIGHUP)
    hello.wait_for_workers(3)
    kill_master(hello, clients)


@pytest.mark.parametrize("number", [SIGHUP, SIGTTIN, SIGTTOU])
def test_a_master_that_is_killed_at_any_moment_of_a_reload_or_resize_leaves_nothing(
    start: Start, number: Signals
) -> None:
    for _ in range(5):
        hello = start("workers = 4")
        clients = beginning(hello)
        hello.signal(number)
        time.sleep(random.uniform(0, 0.1))  # not a wait: the moment is what is tried
        kill_master(hello, clients)


def test_a_master_that_is_killed_while_it_stops_leaves_nothing(start: Start) -> None:
    hello = start("workers = 2")
    clients = beginning(hello)
    hello.signal(SIGTERM)
    hello.wait_for_log("stopping how=graceful")
    kill_master(hello, clients)


def test_a_client_that_never_finishes_keeps_an_orphan_no_longer_than_graceful_timeout(start: Start) -> None:
    hello = start('workers = 2\ngraceful_timeout = "300ms"')
    clients = beginning(hello)
    kill_master(hello)
    assert all(client.until_closed() == b"" for client in clients)
    assert "connections cut" in hello.log


def test_a_daemon_that_is_killed_leaves_nothing(start: Start) -> None:
    hello = start.daemon("workers = 2")
    kill_master(hello, beginning(hello))


def test_workers_that_are_stopped_when_the_master_is_killed_leave_when_they_go_on(start: Start) -> None:
    hello = start("workers = 2")
    clients = beginning(hello)
    pids = hello.worker_pids()
    for pid in pids:
        os.kill(pid, SIGSTOP)
    hello.signal(SIGKILL)
    hello.wait_for_exit()
    for pid in pids:
        os.kill(pid, SIGCONT)
    finish(hello, clients)
