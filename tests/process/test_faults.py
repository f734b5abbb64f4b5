"""What survives the death of a process."""

import os
import re
import socket
from signal import SIGHUP, SIGKILL, SIGTERM

import pytest

from tests.process import tcp
from tests.process.clients import GET, HALF_A_HEAD, Load
from tests.process.commands import CONTROL, status
from tests.process.starting import Start
from tests.process.tcp import State
from tests.process.test_stopped_processes import stopped
from tests.process.waiting import until


def test_a_worker_that_is_killed_is_replaced_at_once(start: Start) -> None:
    hello = start("workers = 2")
    victim, _ = hello.in_slots()
    os.kill(victim, SIGKILL)
    pids = hello.wait_for_workers(2, without=[victim])
    assert len(pids & set(hello.descriptors)) == 1
    hello.wait_for_log('worker failed slot=0 reason="killed by SIGKILL" respawn_in=0s')


def test_a_worker_that_is_killed_with_a_connection_is_told_to_have_had_one(start: Start) -> None:
    hello = start("workers = 1")
    assert hello.connect().ask().status == 200
    (victim,) = hello.worker_pids()
    os.kill(victim, SIGKILL)
    hello.wait_for_log('reason="killed by SIGKILL, with 1 connection"')


@pytest.mark.parametrize("threads", [1, 2])
def test_a_worker_that_its_application_ends_is_told_with_the_request(start_app: Start, threads: int) -> None:
    start_app.files = {"shop.py": "import os\ndef app(environ, start_response):\n    os._exit(3)\n"}
    hello = start_app(f'app = "shop:app"\nworkers = 1\nthreads = {threads}')
    client = hello.connect()
    client.send(b"GET /pay?a=b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.until_closed() == b""
    hello.wait_for_log('generation=1 reason="exit status 3, with 1 connection" last_request="GET /pay?a=b"\n')
    hello.wait_for_workers(1)


def test_a_worker_that_is_killed_again_is_replaced_after_a_while(start: Start) -> None:
    hello = start("workers = 1")
    for _ in range(3):
        (victim,) = hello.wait_for_workers(1)
        ready = hello.wait_for_log(f"worker ready slot=0 pid={victim}")
        os.kill(victim, SIGKILL)
        hello.wait_for_log("worker failed", ready)
        hello.wait_for_workers(1, without=[victim])
    assert re.findall(r"respawn_in=(\S+)s", hello.log) == ["0", "0.1", "0.2"]
    assert hello.connect().ask().status == 200


def test_the_other_worker_serves_on_while_one_is_killed_again_and_again(start: Start) -> None:
    hello = start('workers = 2\naccept = "shared"')
    survivor, victim = hello.worker_pids()
    for _ in range(3):
        os.kill(victim, SIGKILL)
        assert all(hello.get().status_code == 200 for _ in range(20))
        (victim,) = hello.wait_for_workers(2, without=[victim]) - {survivor}


def test_a_worker_that_is_told_to_leave_is_replaced_and_loses_nothing(start: Start) -> None:
    hello = start("workers = 1")
    idle = hello.connect()
    assert idle.ask().status == 200
    (worker,) = hello.worker_pids()
    with Load(hello.connect) as load:
        load.wait_for_more()
        os.kill(worker, SIGTERM)
        os.kill(worker, SIGTERM)
        hello.wait_for_workers(1, without=[worker])
        load.wait_for_more()
    assert load.lost == []
    assert idle.ask().status == 200
    assert "worker failed" not in hello.log


def test_a_worker_that_is_told_to_leave_twice_by_its_master_and_by_term_still_hands_its_connections_over(
    start: Start,
) -> None:
    hello = start("workers = 1", *CONTROL)
    idle = hello.connect()
    assert idle.ask().status == 200
    (old,) = hello.worker_pids()
    with stopped(old):
        hello.signal(SIGHUP)
        hello.wait_for_log("worker ready slot=0", hello.wait_for_log("reloading generation=2"))
        status(hello)  # by then the master has told it
        os.kill(old, SIGTERM)
    hello.wait_for_workers(1, without=[old])
    assert idle.ask().status == 200


def test_term_to_all_processes_keeps_the_shutdown_delay(start: Start) -> None:
    hello = start("workers = 2\nshutdown_delay = 3600")
    idle = hello.connect()
    assert idle.ask().status == 200
    for pid in (*hello.worker_pids(), hello.master_pid):
        os.kill(pid, SIGTERM)
    with Load(hello.connect) as load:
        load.wait_for_more()
    assert load.lost == []
    assert idle.ask().status == 200
    hello.wait_for_log("stopping how=graceful")
    hello.leave()
    assert hello.stop() == 0  # a second one ends the delay
    assert "worker failed" not in hello.log


def test_when_the_master_is_killed_workers_finish_what_has_begun_and_leave(start: Start) -> None:
    hello = start("workers = 2")
    clients = [hello.connect() for _ in range(8)]
    for client in clients:
        assert client.ask().status == 200
        client.send(HALF_A_HEAD)
    idle = hello.connect()
    assert idle.ask().status == 200
    hello.signal(SIGKILL)
    assert hello.wait_for_exit() == -SIGKILL
    for client in clients:
        answer = client.ask(GET.removeprefix(HALF_A_HEAD))
        assert (answer.status, answer.is_last) == (200, True)
        client.close()  # else its worker waits for that
    assert idle.until_closed() == b""
    idle.close()
    hello.wait_until_gone()
    with socket.create_server(("127.0.0.1", hello.ports[0])):
        pass  # the port is free


def test_a_master_that_is_killed_while_it_starts_leaves_no_worker(start: Start) -> None:
    hello = start.launch("workers = 8")
    until(hello.worker_pids, "a worker")
    hello.signal(SIGKILL)
    hello.wait_for_exit()
    hello.wait_until_gone()


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_a_worker_that_is_killed_costs_at_most_what_it_held(start: Start, accept: str) -> None:
    hello = start(f'workers = 2\naccept = "{accept}"')
    clients = [hello.connect() for _ in range(40)]
    assert all(client.ask().status == 200 for client in clients)
    victim = min(hello.worker_pids())
    lost = hello.descriptor_count(victim) - hello.descriptors[victim]
    os.kill(victim, SIGKILL)
    hello.wait_for_workers(2, without=[victim])
    assert sum(not client.is_served() for client in clients) == lost
    assert tcp.sockets_of(hello.ports[0], State.CLOSE_WAIT) == []
