"""What is listened on, by a configuration and by what was passed."""

import os
import re
import socket

import pytest

from prefork.config.addresses import Address, Descriptor, Inet, Passed
from prefork.config.schema import Config
from prefork.logs.log import Log
from prefork.master.cpus import allowed_cpus
from prefork.master.errors import StartError
from prefork.master.listeners import Listeners
from prefork.run.listening import Inherited, listen, worker_count

Stderr = pytest.CaptureFixture[str]


def test_as_many_workers_are_wanted_as_is_said_or_as_there_are_cpus() -> None:
    assert worker_count(Config(workers=3)) == 3
    assert worker_count(Config(workers="auto")) == allowed_cpus()


def test_listeners_are_opened_a_socket_a_worker_and_taken_over() -> None:
    config = Config(bind=(Inet("127.0.0.1", 0),), accept="reuseport")
    first = listen(config, 2, None)
    again = listen(config, 2, first)
    assert len(set(sockets_of(again, 0) + sockets_of(again, 1))) == 2
    assert sockets_of(again, 0) == sockets_of(first, 0)
    again.close()
    first.close()


def sockets_of(listeners: Listeners, slot: int) -> list[int]:
    return [os.fstat(each.fileno()).st_ino for each in listeners.for_slot(slot, 2)]


@pytest.fixture
def number() -> int:
    """Return the number of a socket that listens, and is the service's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.detach()


def opened(*bind: Address) -> tuple[Listeners, Inherited, Config]:
    config = Config(bind=bind)
    inherited = Inherited()
    return inherited.listen(config, None), inherited, config


def test_a_socket_may_be_given_by_its_number(number: int) -> None:
    listeners, inherited, config = opened(Descriptor(number))
    assert inherited.kept(config.bind) == [number]
    assert [each.fileno() for each in listeners.sockets] == [number]
    assert not os.get_inheritable(number)
    listeners.close()


def test_the_variables_of_another_process_pass_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    with pytest.raises(StartError, match="systemd has passed no socket"):
        opened(Passed())


def test_the_log_tells_where_passed_sockets_listen(number: int, monkeypatch: pytest.MonkeyPatch, capfd: Stderr) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    listeners, inherited, config = opened(Descriptor(number), Inet("127.0.0.1", 0))
    inherited.tell(listeners, config, Log("master", "info"))
    lines = [re.sub(r".*\] |:\d{4,5}", "", line) for line in capfd.readouterr().err.splitlines()]
    assert lines[:2] == [
        f"listening address=127.0.0.1 passed=fd:{number}",
        "listening address=127.0.0.1 accept=reuseport backlog=4096",
    ]
    listeners.close()
