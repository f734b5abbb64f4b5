"""System calls of a worker that fail: each costs at most the connection that it was for."""

import subprocess
from itertools import count
from signal import SIGTTIN, SIGTTOU, SIGUSR1

import pytest

from tests.process import proc
from tests.process.clients import Client
from tests.process.injecting import failing, needs_strace
from tests.process.starting import AS_NOBODY, Start
from tests.process.test_molds import mold, workers
from tests.process.test_stopped_processes import stopped
from tests.process.waiting import until


@needs_strace
def test_what_the_kernel_has_no_room_to_watch_is_watched_a_moment_later(start: Start) -> None:
    hello = start("workers = 1")
    (worker,) = hello.worker_pids()
    idle = hello.connect()
    assert idle.ask().status == 200
    with failing(worker, "epoll_ctl", "ENOSPC", "1..3") as failed:
        client = hello.connect()
        assert client.ask().status == 200
        assert client.ask().status == 200
        assert len(failed()) == 3
    assert idle.ask().status == 200
    assert hello.worker_pids() == {worker}


@needs_strace
def test_what_the_kernel_never_has_room_to_watch_is_told_and_makes_nobody_spin(start: Start) -> None:
    hello = start("workers = 1\ntcp_defer_accept = 60")
    (worker,) = hello.worker_pids()
    with failing(worker, "epoll_ctl", "ENOMEM", "1+"):
        client = hello.connect()
        assert client.ask().status == 200  # it had come with the connection
        hello.wait_for_log("no room to watch descriptors count=1 hint=")
        assert proc.cpu_share([worker]) < 0.2
    assert client.ask().status == 200
    assert hello.worker_pids() == {worker}


@needs_strace
@pytest.mark.parametrize("errno", ["EPERM", "ENOMEM"])
def test_a_worker_that_may_not_accept_says_so_does_not_spin_and_goes_on_when_it_may(start: Start, errno: str) -> None:
    hello = start("workers = 1")
    (worker,) = hello.worker_pids()
    idle = hello.connect()
    assert idle.ask().status == 200
    with failing(worker, "accept4", errno, "1+"):
        client = hello.connect()
        hello.wait_for_log("can't accept connections reason=")
        assert proc.cpu_share([worker]) < 0.2
        assert idle.ask().status == 200
    # The one that waits is turned away where strace leaves between its being refused and being closed.
    assert client.is_served() or hello.connect().is_served()
    assert hello.worker_pids() == {worker}


@needs_strace
def test_connections_that_were_aborted_keep_no_others_from_being_accepted(start: Start) -> None:
    hello = start("workers = 1")
    (worker,) = hello.worker_pids()
    with failing(worker, "accept4", "ECONNABORTED", "1") as failed:
        assert hello.connect().ask().status == 200
        assert len(failed()) == 1
    assert "can't accept" not in hello.log


def limit_descriptors(pid: int, most: int) -> None:
    """Say how many descriptors a process of nobody may have, as that user: root in a container may not."""
    subprocess.run([*AS_NOBODY, "prlimit", f"--pid={pid}", f"--nofile={most}:"], check=True)


def stays(client: Client) -> bool:
    answer = client.ask()
    return answer.status == 200 and not answer.is_last


def test_more_connections_than_may_be_on_their_way_to_an_heir_wait_until_it_takes_them(start: Start) -> None:
    hello = start("workers = 2", under=AS_NOBODY)  # root may have any number on their way
    early, clients = ([hello.connect() for _ in range(number)] for number in (30, 300))
    assert all(client.ask().status == 200 for client in (*early, *clients))
    for client in early:
        client.close()  # which leaves low numbers free for what comes with the master's messages
    heir, leaving = hello.in_slots()
    until(lambda: len(proc.descriptors(leaving).keys() & set(range(40))) < 38, "some of them to be closed")
    limit_descriptors(leaving, 40)
    before = hello.descriptor_count(leaving)
    with stopped(heir):
        hello.signal(SIGTTOU)
        until(lambda: hello.descriptor_count(leaving) <= before - 60, "the first of them to be sent")
        assert proc.cpu_share([leaving]) < 0.2
        assert hello.descriptor_count(leaving) > before - 128
    assert all(stays(client) for client in clients)
    assert hello.wait_for_workers(1) == {heir}
    assert "heir gone" not in hello.log


def test_a_worker_without_a_descriptor_left_hands_its_connections_over(start: Start) -> None:
    hello = start("workers = 2", under=AS_NOBODY)
    clients = [hello.connect() for _ in range(40)]
    assert all(client.ask().status == 200 for client in clients)
    heir, leaving = hello.in_slots()
    limit_descriptors(leaving, next(number for number in count() if number not in proc.descriptors(leaving)))
    hello.signal(SIGTTOU)
    hello.wait_for_log("worker exited slot=1")
    assert all(stays(client) for client in clients)
    assert hello.worker_pids() == {heir}


def test_a_worker_without_descriptors_for_its_reopened_logs_is_replaced_by_one_that_has_them(start: Start) -> None:
    toml = 'workers = 1\nlog = "hello.log"\naccess_log = "access.log"'
    hello = start(toml, log_file="hello.log", under=AS_NOBODY)
    clients = [hello.connect() for _ in range(40)]
    assert all(client.ask().status == 200 for client in clients)
    (worker,) = hello.worker_pids()
    limit_descriptors(worker, next(number for number in count() if number not in proc.descriptors(worker)))
    (hello.folder / "access.log").rename(hello.folder / "access.log.1")
    hello.signal(SIGUSR1)
    hello.wait_for_log("no descriptors left for what the master sends hint=")
    hello.wait_for_workers(1, without=[worker])
    assert all(stays(client) for client in clients)
    until(lambda: "GET / " in (hello.folder / "access.log").read_text(), "a line in the new access log")


@needs_strace
def test_a_mold_that_cannot_tell_what_it_has_forked_ends_and_another_forks(start_app: Start) -> None:
    start_app.files["shop.py"] = (
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"
    )
    hello = start_app('app = "shop:app"\nworkers = 1\npreload = "mold"')
    silent = mold(hello)
    with failing(silent, "sendmsg", "ENOBUFS", "1"):
        hello.signal(SIGTTIN)
        hello.wait_for_log('ended: refused by the system reason="No buffer space available" at=')
        hello.wait_for_log('reason="the mold: exit status 71"')
    until(lambda: len(workers(hello)) == 2, "the second worker")
    assert mold(hello) != silent
    assert hello.get().text == "x"


@needs_strace
@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_that_can_not_be_read_while_it_is_sent_is_told(start_app: Start, threads: int) -> None:
    start_app.files["shop.py"] = (
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return environ['wsgi.file_wrapper'](open('shop.py', 'rb'))\n"
    )
    shop = start_app(f'app = "shop:app"\nworkers = 1\nthreads = {threads}')
    (worker,) = shop.worker_pids()
    with failing(worker, "sendfile", "EIO", "1"):
        with pytest.raises(ConnectionResetError):
            shop.connect().ask()
        shop.wait_for_log('file can\'t be sent request="GET /" reason="Input/output error"')
    assert shop.connect().ask().status == 200
    assert shop.worker_pids() == {worker}
