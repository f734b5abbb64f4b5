"""A crash of the master, and what systemd has kept of it, whose part is played here."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTTIN

import pytest

from tests.process.activating import activation
from tests.process.clients import Load
from tests.process.hello import Hello
from tests.process.managing import NotifySocket
from tests.process.starting import Start
from tests.process.waiting import until


class Manager:
    """Keeps what it is sent by name, as the fd store does, and forgets what it is told to."""

    def __init__(self, path: Path) -> None:
        self.stored: dict[str, socket.socket] = {}
        self._socket = NotifySocket(str(path), self._hear)
        self.environ = {**self._socket.environ, "FDSTORE": "64"}

    def close(self) -> None:
        self._socket.close()
        self.forget(*self.stored)

    def forget(self, *names: str) -> None:
        for name in names:
            self.stored.pop(name).close()

    def _hear(self, said: str, fds: Sequence[int]) -> None:
        what, _, rest = said.partition("\n")
        name = rest.removeprefix("FDNAME=")
        if what == "FDSTORE=1":
            self.stored[name] = socket.socket(fileno=fds[0])
        elif what == "FDSTOREREMOVE=1":
            self.forget(name)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.close()


def crash(hello: Hello) -> None:
    """Kill the master, and the workers as systemd does with KillMode=mixed."""
    workers = hello.worker_pids()
    hello.signal(SIGKILL)
    for pid in workers:
        with suppress(ProcessLookupError):  # they leave without a master
            os.kill(pid, SIGKILL)
    hello.wait_for_exit()
    hello.wait_until_gone()


def restart(start: Start, manager: Manager, toml: str, bind: list[str]) -> Hello:
    passed = dict(manager.stored)
    numbers = [each.fileno() for each in passed.values()]
    return start(toml, bind=bind, environ=manager.environ, under=activation(passed), passing=numbers)


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_after_a_crash_under_load_no_connect_is_refused(
    start: Start, manager: Manager, tmp_path: Path, accept: str
) -> None:
    bind = ["127.0.0.1:0", f"unix:{tmp_path}/socket"]
    toml = f'workers = 2\naccept = "{accept}"'
    hello = start(toml, bind=bind, environ=manager.environ)
    tcp, unix = hello.addresses
    loads = [Load(lambda address=address: hello.connect(address)) for address in (tcp, unix)]  # type: ignore[misc]
    with loads[0], loads[1]:
        for load in loads:
            load.wait_for_more()
        crash(hello)
        waiting = [hello.connect(address) for address in (tcp, unix) * 20]
        again = restart(start, manager, toml, bind)
        assert {each.ask().status for each in waiting} == {200}
    assert again.addresses == [tcp, unix]
    assert f"sockets of the fd store taken back count={3 if accept == 'reuseport' else 2} dropped=0" in again.log
    lost = [each for load in loads for each in load.lost]
    assert not [each for each in lost if "Refused" in each or "NotFound" in each], lost
    manager.forget(*manager.stored)


def test_what_is_stored_follows_the_configuration(start: Start, manager: Manager) -> None:
    hello = start("workers = 2", environ=manager.environ)
    of_first = {"prefork/127.0.0.1%3A0/0", "prefork/127.0.0.1%3A0/1"}
    until(lambda: set(manager.stored) == of_first, "the listeners in the store")
    hello.signal(SIGTTIN)
    hello.wait_for_workers(3)
    until(lambda: set(manager.stored) == {*of_first, "prefork/127.0.0.1%3A0/2"}, "another listener")
    hello.reload("workers = 1", bind=["127.0.0.2:0"])
    until(lambda: set(manager.stored) == {"prefork/127.0.0.2%3A0/0"}, "the end of the old listeners")
    manager.forget(*manager.stored)


def test_a_restart_with_another_configuration_drops_what_it_does_not_ask_for(start: Start, manager: Manager) -> None:
    hello = start("workers = 2", environ=manager.environ)
    until(lambda: len(manager.stored) == 2, "the listeners in the store")
    crash(hello)
    (old,) = hello.addresses
    again = restart(start, manager, "workers = 1", ["127.0.0.2:0"])
    assert "sockets of the fd store taken back count=0 dropped=2" in again.log
    until(lambda: set(manager.stored) == {"prefork/127.0.0.2%3A0/0"}, "the end of the old listeners")
    assert old not in hello.listens()
    manager.forget(*manager.stored)


def test_without_a_store_nothing_is_sent_there(start: Start, manager: Manager) -> None:
    hello = start("workers = 2", environ={"NOTIFY_SOCKET": manager.environ["NOTIFY_SOCKET"]})
    hello.reload("workers = 3")
    assert manager.stored == {}
