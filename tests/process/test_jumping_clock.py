"""The time of day jumps to and fro by days: nothing but stamps depends on it.

In the copy that the service runs from, `time.time` jumps with each call; the clock of the machine belongs to others
too, and a time namespace (time_namespaces(7)) has no time of day of its own.
"""

import re
from time import monotonic

from tests.process.clients import Load
from tests.process.installing import Installation
from tests.process.starting import Start

JUMPING = """
import itertools
import time
jumps = itertools.cycle((0, 86_400, -86_400))
true, true_ns = time.time, time.time_ns
time.time = lambda: true() + next(jumps)
time.time_ns = lambda: true_ns() + next(jumps) * 10**9
"""
TOML = 'workers = 2\nhang_timeout = 2\nkeep_alive_timeout = 60\naccess_log = "access.log"'


def test_no_deadline_passes_because_the_clock_jumps(start: Start, installed: Installation) -> None:
    installed.replace(run_program=JUMPING)
    hello = start(TOML, environ=installed.environ)
    idle = hello.connect()
    assert idle.ask().status == 200
    with Load(hello.connect) as load:
        ends = monotonic() + 3  # seconds: longer than the timeout that is looked after most often
        while monotonic() < ends:
            load.wait_for_more()
        hello.reload(TOML)
        load.wait_for_more(1000)
    assert load.lost == []
    assert idle.ask().status == 200
    assert not re.search(" (?:warning|error) worker|hangs|failed|passed", hello.log)
    assert len(set(re.findall(r"^\d{4}-\d\d-\d\d", hello.log, re.MULTILINE))) >= 3  # so it did jump
