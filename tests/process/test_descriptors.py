"""Descriptors: which ones a worker holds, and what happens when there are no more."""

import os
import resource
from signal import SIGUSR1

import pytest

from tests.process import proc, tcp
from tests.process.clients import Client
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.waiting import until

# The sockets: its channel, both ends of the wakeup. The pipe is for stacks.
OWN = [
    "anon_inode:[eventpoll]",
    "pipe:",
    "socket:",
    "socket:",
    "socket:",
]


def kinds(targets: list[str]) -> list[str]:
    return sorted(each.partition("[")[0] if each.startswith(("socket:", "pipe:")) else each for each in targets)


@pytest.mark.parametrize(("accept", "listening"), [("reuseport", 1), ("shared", 1)])
def test_a_worker_holds_its_own_descriptors_and_no_others(start: Start, accept: str, listening: int) -> None:
    hello = start(f'workers = 3\naccept = "{accept}"\naccess_log = "access.log"')
    log = str(hello.folder / "output")
    for pid in hello.worker_pids():
        targets = list(proc.descriptors(pid).values())
        assert len(tcp.listening(pid)) == listening
        own = [each for each in targets if each not in {*tcp.listening(pid), os.devnull}]
        assert kinds(own) == sorted([*OWN, log, log, str(hello.folder / "access.log")])


def test_a_replaced_worker_holds_as_many_descriptors_as_the_first(start: Start) -> None:
    hello = start("workers = 2")
    before = set(hello.descriptors.values())
    master_before = len(proc.descriptors(hello.master_pid))
    hello.reload("workers = 2")
    pids = hello.wait_for_workers(2, without=hello.descriptors)
    until(lambda: {hello.descriptor_count(pid) for pid in pids} == before, "the handovers to be closed")
    until(lambda: len(proc.descriptors(hello.master_pid)) == master_before, "the master's descriptors")


def test_what_a_worker_runs_inherits_nothing_but_the_standard_streams(start: Start) -> None:
    hello = start('workers = 2\nlog = "hello.log"\naccess_log = "access.log"', log_file="hello.log")
    clients = [hello.connect() for _ in range(10)]
    hello.reload('workers = 1\nlog = "hello.log"\naccess_log = "access.log"')  # sockets and connections move
    (worker,) = hello.wait_for_workers(1, without=hello.descriptors)
    assert all(map(Client.is_served, clients))
    hello.signal(SIGUSR1)
    hello.wait_for_log("log files reopened")
    assert clients[0].is_served()
    assert set(proc.inheritable(worker)) <= {0, 1, 2}


def test_more_clients_than_descriptors_are_survived(start: Start) -> None:
    hello = start("workers = 1\ntcp_defer_accept = 0")  # as these say nothing
    (worker,) = hello.worker_pids()
    assert hello.get().status_code == 200  # so it has all that it needs
    hello.wait_until_closed()
    room = len(proc.descriptors(worker)) + 10
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (room, room))
    clients = [hello.connect() for _ in range(40)]
    hello.wait_for_log("out of descriptors")
    assert clients[0].is_served()
    assert proc.cpu_share([worker]) < 0.2
    hello.leave()
    hello.wait_until_closed()
    assert serves_all(hello, 20)
    until(lambda: len(proc.descriptors(worker)) == room - 10, "the reserve to be as it was")
    assert hello.worker_pids() == {worker}


def test_a_service_started_with_few_descriptors_survives_too(start: Start) -> None:
    hello = start("workers = 2\ntcp_defer_accept = 0", under=("prlimit", "--nofile=40"))
    for _ in range(3):
        for _ in range(100):
            hello.connect()
        hello.wait_for_log("out of descriptors")
        assert proc.cpu_share(hello.descriptors) < 0.2
        hello.leave()
    assert serves_all(hello, 20)
    assert hello.worker_pids() == set(hello.descriptors)


def serves_all(hello: Hello, count: int) -> bool:
    return all(hello.get().status_code == 200 for _ in range(count))
