"""As the first process of a container: it is given orphans, and has to reap them."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, Signals

import pytest

from tests.process import proc
from tests.process.clients import Load
from tests.process.commands import command
from tests.process.hello import Hello
from tests.process.installing import Installation
from tests.process.starting import Start
from tests.process.test_upgrading import upgrade
from tests.process.waiting import until

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
REFUSED = subprocess.run((*CONTAINER, "true"), capture_output=True, text=True, check=False).stderr
pytestmark = pytest.mark.skipif(bool(REFUSED), reason=REFUSED.strip())


def started(start: Start, toml: str, environ: Mapping[str, str] | None = None) -> Hello:
    """Start it as process 1 of a namespace, whose parent is unshare(1)."""
    hello = start(toml, under=CONTAINER, environ=environ)
    (hello.master_pid,) = proc.children(hello.master_pid)
    assert proc.status(hello.master_pid)["NSpid"][-1] == "1"
    return hello


@contextmanager
def orphans(hello: Hello, count: int) -> Iterator[None]:
    """Have processes that have lost their parent, and all end with a failure afterwards."""
    script = f"for n in $(seq {count}); do (read end; exit 3) <&3 & done"
    command = ("nsenter", f"--target={hello.master_pid}", "--pid", "--mount", "sh", "-c", f"exec 3<&0; {script}")
    reading, writing = os.pipe()
    subprocess.run(command, stdin=reading, check=True)
    os.close(reading)
    until(lambda: len(proc.all_children(hello.master_pid)) >= count + 2, "the orphans")
    yield
    os.close(writing)


def test_orphans_are_reaped_and_nobody_is_blamed_for_them(start: Start) -> None:
    hello = started(start, "workers = 2")
    workers = hello.worker_pids()
    with Load(hello.connect) as load:
        with orphans(hello, 50):
            hello.signal(SIGHUP)
        hello.wait_for_log(" reloaded ")
        with orphans(hello, 50):
            load.wait_for_more()
        until(lambda: len(proc.all_children(hello.master_pid)) == 2, "the end of the orphans")
    assert load.lost == []
    assert "failed" not in hello.log
    assert not workers.intersection(proc.all_children(hello.master_pid))


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
def test_a_signal_that_stops_it_ends_it_with_status_0_and_all_others_with_it(start: Start, number: Signals) -> None:
    hello = started(start, "workers = 2")
    subprocess.run(
        ("nsenter", f"--target={hello.master_pid}", "--pid", "--mount", "sh", "-c", "sleep 100 &"), check=True
    )
    assert hello.stop(number) == 0


def test_term_while_it_starts_ends_it_too(start: Start) -> None:
    hello = start.launch("workers = 2", under=CONTAINER)
    until(lambda: " starting " in hello.log, "the start")
    (hello.master_pid,) = proc.children(hello.master_pid)
    assert hello.stop(SIGTERM) == 0


def test_it_is_upgraded_in_place(start: Start, installed: Installation) -> None:
    hello = started(start, "workers = 2", environ=installed.environ)
    installed.replace()
    with Load(hello.connect) as load:
        load.wait_for_more()
        upgrade(hello)
        load.wait_for_more()
    assert load.lost == []
    assert proc.status(hello.master_pid)["NSpid"][-1] == "1"


def test_it_does_not_detach(start: Start) -> None:
    status, error = start.refused("", "--daemon", under=CONTAINER)
    assert (status, error) == (
        78,
        "prefork-hello: error: daemon: the first process of a container must stay in the foreground",
    )


def test_its_health_is_asked_for_inside_the_container(start: Start) -> None:
    hello = started(start, 'workers = 1\ncontrol = "control.sock"', environ={"PREFORK_CONTROL": "control.sock"})
    inside = ("nsenter", f"--target={hello.master_pid}", "--pid", "--mount", "--wd")
    assert command(hello, "health", under=inside) == (0, "1 of 1 worker ready\n")
