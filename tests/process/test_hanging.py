"""Applications that hang: their worker is found out, says where, and is replaced; the others serve on."""

import re
import sys
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from tests.process import blocking
from tests.process.clients import GET
from tests.process.starting import Start

WITH_BLOCKING: Final = (sys.executable, str(Path(blocking.__file__)))
TOML: Final = 'workers = 2\naccept = "shared"\nhang_timeout = "1s"'


CRASHING = """
import ctypes, os

def crash():
    ctypes.string_at(0)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/child":
        if not (pid := os.fork()):
            crash()
        os.waitpid(pid, 0)
        start_response("200 OK", [])
        return [b"survived"]
    crash()
"""


@pytest.mark.parametrize("preload", ["off", "mold"])
def test_the_stack_of_a_worker_that_crashes_ends_where_the_worker_begins(start_app: Start, preload: str) -> None:
    start_app.files = {"crashing.py": CRASHING}
    hello = start_app(f'app = "crashing"\nworkers = 1\npreload = "{preload}"')
    hello.connect().send(GET)
    place = hello.wait_for_log("worker exited slot=0 pid=")
    pid = hello.log[place:].partition(" ")[0]
    start = f" error master[{hello.master_pid}] stack pid={pid} line="
    stack = [line.partition(start)[2] for line in hello.log.splitlines() if start in line]
    frames = [line for line in stack if "  File " in line]
    assert stack[0] == '"Fatal Python error: Segmentation fault"'
    assert frames[0].endswith(' in string_at"')
    assert re.search(r"/prefork/run/roles\.py.* in _?be_worker", frames[-1])
    assert "\nFatal Python error" not in hello.log


def test_the_stack_of_a_process_that_the_application_forked_is_told_as_of_any(start_app: Start) -> None:
    start_app.files = {"crashing.py": CRASHING}
    hello = start_app('app = "crashing"\nworkers = 1')
    assert hello.get("/child").text == "survived"
    assert "\nFatal Python error: Segmentation fault" in hello.log


@pytest.mark.parametrize("target", ["/sleep?seconds=3600", "/compute?steps=2%5E100"])
def test_a_worker_that_hangs_is_killed_and_says_where_and_on_which_request(start: Start, target: str) -> None:
    hello = start(TOML, under=WITH_BLOCKING)
    client = hello.connect()
    client.send(GET.replace(b" / ", f" {target} ".encode()))
    place = hello.wait_for_log("worker hangs; its stacks follow")
    assert all(hello.get().status_code == 200 for _ in range(20))
    hello.wait_for_log('reason="hang_timeout passed"', place)
    found = re.match(r' slot=\d pid=(\d+) generation=1 request="(.*)"\n((?:.|\n)*) killing worker', hello.log[place:])
    assert found is not None
    pid, request, stacks = found.groups()
    assert request == f"GET {target}"
    assert re.search(
        r'most recent call first.*\n(.* stack pid=.*\n)*?.*blocking\.py\\", line \d+ in application"\n', stacks
    )
    hello.wait_for_workers(2, without=[int(pid)])
    assert client.until_closed() == b""
    assert all(hello.get().status_code == 200 for _ in range(20))


def test_a_worker_that_answers_all_the_time_does_not_hang(start: Start) -> None:
    hello = start(TOML, under=WITH_BLOCKING)
    client = hello.connect()
    ends = monotonic() + 2  # seconds: twice the hang_timeout
    while monotonic() < ends:
        assert client.ask().status == 200
    assert "worker hangs" not in hello.log
