"""Workers that fail again and again are put off ever longer; a start at which none gets ready is given up."""

import os
import re
from signal import SIGKILL

import pytest

from tests.process.hello import Hello
from tests.process.installing import Installation
from tests.process.starting import Start
from tests.process.waiting import until

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
    for deaths in (1, 2, 3, 4):
        for pid in hello.wait_for_workers(2):
            os.kill(pid, SIGKILL)
        wait_until_put_off(hello, deaths)
    first, second = delays_of(hello)
    assert first == [0, 0.1, 0.2, 0.4]
    assert second == pytest.approx([each * (1 - 0.25 * 0.618) for each in first], rel=0.01)


def wait_until_put_off(hello: Hello, times: int) -> None:
    until(lambda: [len(each) for each in delays_of(hello)] == [times, times], "both to be put off")


def delays_of(hello: Hello) -> list[list[float]]:
    """Return by how many seconds each of the two slots was put off each time, in slots' order."""
    line = r'worker failed slot={slot} reason="killed by SIGKILL" respawn_in=(\S+)s'
    return [[float(each) for each in re.findall(line.format(slot=slot), hello.log)] for slot in (0, 1)]
