"""Sockets that somebody else has opened: by systemd's protocol, and by number."""

import socket
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGTERM, SIGTTIN

import pytest

from prefork.version import VERSION
from tests.process import proc
from tests.process.activating import activation
from tests.process.clients import Load
from tests.process.hello import Hello
from tests.process.installing import NEXT, Installation
from tests.process.starting import Start
from tests.process.test_upgrading import upgrade

ONLY_WEB = ("systemd:web",)


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[dict[str, socket.socket]]:
    """Return what a service manager listens with: TCP as "web", and a unix socket as "admin"."""
    with socket.create_server(("127.0.0.1", 0)) as web, socket.socket(socket.AF_UNIX) as admin:
        admin.bind(str(tmp_path / "admin"))
        admin.listen()
        yield {"web": web, "admin": admin}


class Activate:
    """Starts a service with sockets, as a unit that has socket units."""

    def __init__(self, start: Start, sockets: dict[str, socket.socket]) -> None:
        self._start = start
        self._sockets = sockets
        self.under = activation(sockets)
        self.passing = [each.fileno() for each in sockets.values()]

    def __call__(self, toml: str, *flags: str, bind: tuple[str, ...], **environ: str) -> Hello:
        return self._start(toml, *flags, bind=bind, under=self.under, passing=self.passing, environ=environ)

    def closed(self) -> None:
        """Close the manager's own, so that the end of the service is the end of the sockets."""
        for each in self._sockets.values():
            each.close()


@pytest.fixture
def activate(start: Start, sockets: dict[str, socket.socket]) -> Activate:
    return Activate(start, sockets)


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_all_workers_serve_all_sockets_that_are_passed(
    activate: Activate, sockets: dict[str, socket.socket], accept: str
) -> None:
    hello = activate(f'workers = 3\naccept = "{accept}"', bind=("systemd",))
    assert hello.addresses == [
        f"127.0.0.1:{sockets['web'].getsockname()[1]}",
        "unix:" + sockets["admin"].getsockname(),
    ]
    inodes = {proc.descriptors(hello.master_pid)[each] for each in (3, 4)}
    for pid in hello.worker_pids():
        assert inodes <= set(proc.descriptors(pid).values())
    for address in hello.addresses * 10:
        assert hello.connect(address).ask().status == 200
    activate.closed()


def test_of_several_sockets_one_may_be_chosen_and_a_reload_chooses_another(
    activate: Activate, sockets: dict[str, socket.socket]
) -> None:
    hello = activate("workers = 2", bind=ONLY_WEB)
    assert "passed sockets not listened on names=admin" in hello.log
    before = proc.descriptors(hello.master_pid)[4]
    assert all(before not in proc.descriptors(pid).values() for pid in hello.worker_pids())
    waiting = hello.connect("unix:" + sockets["admin"].getsockname())  # it is for systemd to refuse, which never does
    hello.reload("workers = 2", bind=("systemd:admin", "127.0.0.1:0"))
    assert waiting.ask().status == 200
    hello.reload("workers = 2", bind=("systemd",))
    assert hello.connect().ask().status == 200
    assert waiting.ask().status == 200
    activate.closed()


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_reloads_resizing_and_upgrades_lose_nothing(activate: Activate, installed: Installation, accept: str) -> None:
    hello = activate(f'workers = 2\naccept = "{accept}"', bind=("systemd",), **installed.environ)
    activate.closed()
    _, unix = hello.addresses
    installed.replace()
    with Load(hello.connect) as load, Load(lambda: hello.connect(unix)) as unix_load:
        load.wait_for_more()
        hello.reload(f'workers = 2\naccept = "{accept}"', bind=("systemd",))
        hello.signal(SIGTTIN)
        hello.wait_for_workers(3)
        line = upgrade(hello)
        hello.reload("workers = 1", bind=("systemd:web", "systemd:admin"))
        load.wait_for_more()
        unix_load.wait_for_more()
    assert line.startswith(f"upgraded from={VERSION} to={NEXT} ")
    assert load.lost == unix_load.lost == []


def test_the_sockets_outlive_the_service_and_their_files_stay(
    activate: Activate, sockets: dict[str, socket.socket], tmp_path: Path
) -> None:
    hello = activate("workers = 2", bind=("systemd",))
    assert hello.stop(SIGTERM) == 0
    assert (tmp_path / "admin").is_socket()
    client = hello.connect()  # it waits for the next service
    again = activate("workers = 1", bind=("systemd",))
    assert client.ask().status == 200
    assert again.addresses == hello.addresses
    activate.closed()


def test_a_name_that_was_not_passed_is_a_mistake_of_the_configuration(start: Start, activate: Activate) -> None:
    status, error = start.refused(bind=["systemd:wep"], under=activate.under, passing=activate.passing)
    assert status == 78
    assert error.startswith("prefork-hello: error: systemd:wep: systemd has passed admin and web, none of that name; ")
    hello = activate("workers = 1", bind=("systemd",))
    hello.rewrite("workers = 1", ["systemd:wep"])
    hello.signal(SIGHUP)
    hello.wait_for_log('reload failed generation=2 kept=1 reason="systemd:wep: ')
    assert hello.connect().ask().status == 200
    activate.closed()


def test_a_daemon_takes_the_sockets_along(start: Start, activate: Activate) -> None:
    hello = start.daemon("workers = 1", bind=("systemd",), under=activate.under, passing=activate.passing)
    activate.closed()
    assert hello.connect().ask().status == 200


def test_a_socket_may_be_given_by_its_number(start: Start, sockets: dict[str, socket.socket]) -> None:
    number = sockets["web"].fileno()
    hello = start("workers = 2", bind=[f"fd:{number}"], passing=[number])
    sockets["web"].close()
    hello.reload("workers = 2", bind=["127.0.0.1:0"])
    hello.reload("workers = 2", bind=[f"fd:{number}"])
    assert hello.connect().ask().status == 200


def test_a_number_that_is_no_socket_is_a_mistake_of_the_configuration(start: Start) -> None:
    status, error = start.refused(bind=["fd:9"])
    assert status == 78
    assert error.startswith("prefork-hello: error: fd:9: not a listening TCP or unix socket; ")
