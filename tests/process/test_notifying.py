"""What it tells systemd, whose end of the socket is played here."""

import resource
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from signal import SIGABRT, SIGHUP

import pytest

from tests.process.installing import Installation
from tests.process.managing import NotifySocket
from tests.process.starting import Start
from tests.process.test_upgrading import upgrade
from tests.process.waiting import LIMIT


class Manager:
    """Tells what a service has said, one datagram at a time."""

    def __init__(self, name: str) -> None:
        self._heard = SimpleQueue[str]()
        listening = NotifySocket(name, lambda said, _fds: self._heard.put(said))
        self.environ, self.close = listening.environ, listening.close

    def hear(self) -> str:
        return self._heard.get(timeout=LIMIT)

    def wait_for(self, *beginnings: str) -> str:
        """Wait until these were said in this order, whatever comes between; return the last."""
        heard = ""
        for beginning in beginnings:
            while not (heard := self.hear()).startswith(beginning):
                pass
        return heard


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = tmp_path / "notify"
    listening = Manager(str(path) if request.param == "a path" else f"\0{path}")
    yield listening
    listening.close()


def test_systemd_is_told_of_readiness_reloads_and_the_end(start: Start, manager: Manager) -> None:
    hello = start("workers = 2", environ=manager.environ)
    manager.wait_for("READY=1", "STATUS=2 workers, generation 1, 0 connections")
    hello.reload("workers = 3")
    manager.wait_for("RELOADING=1\nMONOTONIC_USEC=", "READY=1", "STATUS=3 workers, generation 2, 0 connections; last")
    hello.stop()
    manager.wait_for("STOPPING=1", "STATUS=stopped")


def test_systemd_is_told_that_a_reload_is_over_and_has_failed(start: Start, manager: Manager) -> None:
    hello = start("workers = 2", environ=manager.environ)
    manager.wait_for("READY=1")
    hello.rewrite('workers = "many"')
    hello.signal(SIGHUP)
    manager.wait_for("RELOADING=1\n", "READY=1")
    status = manager.wait_for("STATUS=2 workers, generation 1, 0 connections; last reload ")
    assert " failed: hello.toml:2: workers: " in status


@pytest.mark.parametrize(
    ("toml", "bind", "problem"),
    [
        ('workers = "many"', "127.0.0.1:0", "hello.toml:2: workers: expected"),
        ("", "192.0.2.1:80", "192.0.2.1:80: cannot assign"),
    ],
)
def test_systemd_is_told_why_a_start_failed(start: Start, manager: Manager, toml: str, bind: str, problem: str) -> None:
    start.refused(toml, bind=[bind], environ=manager.environ)
    manager.wait_for(f"STATUS=error: {problem}")


def test_the_watchdog_is_answered_over_reloads_and_upgrades(
    start: Start, manager: Manager, installed: Installation
) -> None:
    hello = start("workers = 2", environ={**manager.environ, **installed.environ, "WATCHDOG_USEC": "200000"})
    hear_alive(manager, 5)
    hello.reload("workers = 1")
    hear_alive(manager, 5)
    upgrade(hello)
    hear_alive(manager, 5)


def test_without_descriptors_the_watchdog_is_answered_and_a_reload_is_told_to_be_over(
    start: Start, manager: Manager
) -> None:
    hello = start("workers = 1", environ={**manager.environ, "WATCHDOG_USEC": "200000"})
    _soft, hard = resource.prlimit(hello.master_pid, resource.RLIMIT_NOFILE)
    resource.prlimit(hello.master_pid, resource.RLIMIT_NOFILE, (3, hard))
    hello.signal(SIGHUP)
    manager.wait_for("RELOADING=1", "READY=1")
    hear_alive(manager, 5)
    resource.prlimit(hello.master_pid, resource.RLIMIT_NOFILE, (hard, hard))


def test_the_watchdog_of_another_process_is_not_answered(start: Start, manager: Manager) -> None:
    hello = start("workers = 2", environ={**manager.environ, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    hello.reload("workers = 1")
    hello.stop()
    while (heard := manager.hear()) != "STOPPING=1":
        assert heard != "WATCHDOG=1"


def test_a_master_that_the_watchdog_ends_says_where_it_hung(start: Start) -> None:
    hello = start("workers = 1")
    hello.signal(SIGABRT)
    hello.wait_for_exit()
    assert "Fatal Python error: Aborted" in hello.log
    assert "in turn" in hello.log


def hear_alive(manager: Manager, count: int) -> None:
    """Wait until that was said so often, whatever else is said."""
    while count:
        count -= manager.hear() == "WATCHDOG=1"
