"""The master has no descriptors left: what needs one fails and says so, the service goes on and recovers."""

import os
import resource
from signal import SIGHUP, SIGKILL, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2

from tests.process import proc
from tests.process.clients import Load
from tests.process.hello import Hello
from tests.process.starting import Start

EMFILE = "Too many open files"
OUTCOMES = {
    SIGTTIN: "resize failed workers=3 reason=",
    SIGUSR1: f'log file not reopened path=hello.log reason="{EMFILE}"',
    SIGUSR2: "upgrade ignored reason=",
    SIGTTOU: "resizing workers=1",
}


def limit(hello: Hello, count: int) -> None:
    _soft, hard = resource.prlimit(hello.master_pid, resource.RLIMIT_NOFILE)
    resource.prlimit(hello.master_pid, resource.RLIMIT_NOFILE, (count, hard))


def unlimit(hello: Hello) -> None:
    limit(hello, 10_000)


def test_a_reload_fails_and_says_why(start: Start) -> None:
    hello = start("workers = 2")
    limit(hello, 3)
    hello.signal(SIGHUP)
    hello.wait_for_log("reload failed generation=2 kept=1 reason=")
    assert EMFILE.lower() in hello.log.lower()
    assert hello.get().status_code == 200
    unlimit(hello)
    hello.reload("workers = 2")


def test_a_reload_fails_wherever_the_descriptors_end(start: Start) -> None:
    hello = start("workers = 2")
    free = max(proc.descriptors(hello.master_pid)) + 1
    with Load(hello.connect, keep_alive=1, fresh=1) as load:
        for more in range(9):
            reload_with(hello, free + more)
        load.wait_for_more()
    for more in range(9, 12):  # now there may be workers, which inherit the limit and so turn away who comes to them
        reload_with(hello, free + more)
    unlimit(hello)
    hello.wait_for_workers(2)
    with Load(hello.connect, keep_alive=1, fresh=1) as later:
        hello.reload("workers = 2")
        later.wait_for_more()
    assert load.lost == later.lost == []


def reload_with(hello: Hello, count: int) -> None:
    """Have it reload, for more workers and another address, with so many descriptors, and wait for the outcome."""
    limit(hello, count)
    before = len(hello.log)
    hello.rewrite("workers = 4", bind=["127.0.0.1:0", "127.0.0.2:0"])
    hello.signal(SIGHUP)
    hello.wait_for_log("generation=", hello.wait_for_log(" reload", hello.wait_for_log(" reloading ", before)))


def test_a_killed_worker_is_replaced_later(start: Start) -> None:
    hello = start("workers = 2")
    survivor, victim = hello.in_slots()
    limit(hello, 3)
    os.kill(victim, SIGKILL)
    hello.wait_for_log(f'worker failed slot=1 reason="can\'t fork: {EMFILE}" respawn_in=0.')
    assert all(hello.get().status_code == 200 for _ in range(40))
    unlimit(hello)
    assert survivor in hello.wait_for_workers(2)


def test_other_signals_are_survived_too(start: Start) -> None:
    hello = start('workers = 2\nlog = "hello.log"', log_file="hello.log")
    limit(hello, 3)
    for number, outcome in OUTCOMES.items():
        hello.signal(number)
        hello.wait_for_log(outcome)
    assert all(hello.get().status_code == 200 for _ in range(40))
    unlimit(hello)
    hello.signal(SIGTTIN)
    hello.wait_for_workers(2)
