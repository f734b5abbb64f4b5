"""Workers that fail again and again are put off ever longer; a start at which none gets ready is given up."""

import os
import re
from signal import SIGKILL

import pytest

from tests.process.installing import Installation
from tests.process.starting import Start

FAILING = "def Worker(*args, **named):\n    raise SystemExit(3)\n"


def test_a_start_at_which_no_worker_gets_ready_ends_with_70_and_the_reason(
    start: Start, installed: Installation
) -> None:
    installed.replace(run_roles=FAILING)
    status, error = start.refused("workers = 2", environ=installed.environ)
    assert status == 70
    assert error == "prefork-hello: error: gave up: 3 workers in a row failed: exit status 3"


def test_each_slot_is_put_off_twice_as_long_each_time_and_no_two_equally(start: Start) -> None:
    hello = start("workers = 2")
    for _ in range(4):
        pids = hello.wait_for_workers(2)
        for pid in pids:
            os.kill(pid, SIGKILL)
        for pid in pids:
            hello.wait_for_log(f" pid={pid} generation=1 reason=")
    delays = {slot: [float(each) for each in delays_of(hello.log, slot)] for slot in (0, 1)}
    assert delays[0] == [0, 0.1, 0.2, 0.4]
    assert delays[1] == pytest.approx([each * (1 - 0.25 * 0.618) for each in delays[0]], rel=0.01)


def delays_of(log: str, slot: int) -> list[str]:
    return re.findall(rf'worker failed slot={slot} reason="killed by SIGKILL" respawn_in=(\S+)s', log)
