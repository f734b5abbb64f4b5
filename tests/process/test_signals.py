"""What the other signals do: USR1, USR2, TTIN, TTOU, WINCH, and those that workers get by mistake."""

import os
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH

import pytest

from tests.process import proc
from tests.process.clients import Load
from tests.process.installing import Installation
from tests.process.starting import Start
from tests.process.waiting import until


def test_ttin_adds_a_worker(start: Start) -> None:
    hello = start("workers = 1")
    hello.signal(SIGTTIN)
    assert set(hello.descriptors) < hello.wait_for_workers(2)
    hello.wait_for_log("worker ready slot=1")
    assert all(hello.get().status_code == 200 for _ in range(20))


def test_ttin_adds_none_to_the_most_that_there_may_be(start: Start, installed: Installation) -> None:
    installed.replace(master_signals="MOST_WORKERS = 2")
    hello = start("workers = 1", environ=installed.environ)
    seen = 0
    for _ in range(3):
        hello.signal(SIGTTIN)
        seen = hello.wait_for_log("resizing workers=2\n", seen)
    assert len(hello.wait_for_workers(2)) == 2


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_ttou_takes_a_worker_away_and_the_others_serve_what_reaches_its_socket(start: Start, accept: str) -> None:
    hello = start(f'workers = 3\naccept = "{accept}"')
    with Load(hello.connect) as load:
        load.wait_for_more()
        hello.signal(SIGTTOU)
        pids = hello.wait_for_workers(2)
        load.wait_for_more()
    assert pids < set(hello.descriptors)
    assert load.lost == []
    assert all(hello.get().status_code == 200 for _ in range(200))


def test_ttou_leaves_the_last_worker(start: Start) -> None:
    hello = start("workers = 1")
    hello.signal(SIGTTOU)
    hello.wait_for_log("signal name=SIGTTOU")
    assert hello.get().status_code == 200
    assert hello.worker_pids() == set(hello.descriptors)


def test_ttin_after_ttou_gives_the_socket_back(start: Start) -> None:
    hello = start("workers = 2")
    with Load(hello.connect) as load:
        hello.signal(SIGTTOU)
        hello.wait_for_workers(1)
        place = len(hello.log)
        hello.signal(SIGTTIN)
        hello.wait_for_log("worker ready slot=1", place)
        load.wait_for_more()
    assert load.lost == []
    assert len(hello.wait_for_workers(2)) == 2


def test_winch_takes_all_workers_away_and_ttin_brings_the_first_back(start: Start) -> None:
    hello = start("workers = 2")
    hello.signal(SIGWINCH)
    until(lambda: not hello.worker_pids(), "the end of the workers")
    waiting = hello.connect()
    hello.signal(SIGTTIN)
    assert waiting.ask().status == 200  # it waited in the queue of a socket that nobody served
    assert len(hello.worker_pids()) == 1


def test_usr1_opens_the_log_and_the_access_log_again_in_master_and_workers(start: Start) -> None:
    hello = start('workers = 2\nlog = "hello.log"\naccess_log = "access.log"', log_file="hello.log")
    hello.get("/before")
    log, access = hello.folder / "hello.log", hello.folder / "access.log"
    until(lambda: "/before" in access.read_text(), "the line in the access log")
    for path in (log, access):
        path.rename(path.with_suffix(".1"))
    hello.signal(SIGUSR1)
    until(log.exists, "the new log")
    hello.wait_for_log("log files reopened")
    fresh = {str(log), str(access)}
    until(lambda: all(files(pid) == fresh for pid in (hello.master_pid, *hello.worker_pids())), "the new files")
    hello.get("/after")
    until(lambda: "/after" in access.read_text(), "the line in the new access log")
    assert "/after" not in access.with_suffix(".1").read_text()


def test_a_worker_that_is_sent_usr2_writes_its_stacks_and_serves_on(start: Start) -> None:
    hello = start("workers = 1")
    (worker,) = hello.worker_pids()
    os.kill(worker, SIGUSR2)
    hello.wait_for_log("most recent call first")
    hello.signal(SIGTTIN)
    hello.wait_for_workers(2)
    assert hello.get().status_code == 200


@pytest.mark.parametrize("number", [SIGHUP, SIGINT, SIGUSR1, SIGTTIN, SIGTTOU, SIGWINCH])
def test_a_worker_ignores_what_is_meant_for_its_master(start: Start, number: int) -> None:
    hello = start("workers = 1")
    (worker,) = hello.worker_pids()
    client = hello.connect()
    assert client.ask().status == 200
    for _ in range(3):
        os.kill(worker, number)
        assert client.ask().status == 200
    assert hello.worker_pids() == {worker}


def files(pid: int) -> set[str]:
    """Return the log files that a process has open."""
    return {each for each in proc.descriptors(pid).values() if Path(each).stem in ("hello", "access")}
