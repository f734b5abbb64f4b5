"""A process that was stopped, by a debugger or by a laptop that was closed, is not one that hangs."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGCONT, SIGSTOP

import pytest

from tests.process.clients import GET
from tests.process.starting import Start

SHORT = 'workers = 2\nhang_timeout = "600ms"'
LONGER = 1.5  # seconds: far longer than that
SHORTER = 0.55  # seconds: nearly that


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Keep processes from running in this block."""
    for pid in pids:
        os.kill(pid, SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, SIGCONT)


@pytest.mark.parametrize("times", [1, 6])
def test_a_worker_that_was_stopped_for_longer_than_hang_timeout_goes_on(start: Start, times: int) -> None:
    hello = start(SHORT)
    clients = [hello.connect() for _ in range(16)]
    assert all(client.ask().status == 200 for client in clients)
    with stopped(min(hello.worker_pids())):
        time.sleep(LONGER)  # not a wait: it is this long that the worker doesn't run
    for _ in range(times - 1):
        with stopped(min(hello.worker_pids())):
            time.sleep(SHORTER)
    assert all(client.ask().status == 200 for client in clients)
    assert hello.worker_pids() == set(hello.descriptors)
    assert "hangs" not in hello.log


def test_no_worker_is_blamed_when_the_master_was_stopped(start: Start) -> None:
    hello = start(SHORT)
    with stopped(hello.master_pid):
        time.sleep(LONGER)
        assert hello.get().status_code == 200  # the workers don't need it
    time.sleep(LONGER / 2)  # in which the master looks at them again and again
    assert hello.worker_pids() == set(hello.descriptors)
    assert "hangs" not in hello.log


def test_no_worker_is_blamed_when_all_were_stopped_and_requests_that_waited_are_answered(start: Start) -> None:
    hello = start(SHORT)
    client = hello.connect()
    assert client.ask().status == 200
    with stopped(hello.master_pid, *hello.worker_pids()):
        client.send(GET)
        late = hello.connect()
        late.send(GET)
        time.sleep(LONGER)
    assert client.answer().status == late.answer().status == 200
    time.sleep(LONGER / 2)
    assert hello.worker_pids() == set(hello.descriptors)
    assert "hangs" not in hello.log
