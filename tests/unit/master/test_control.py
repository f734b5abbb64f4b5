"""The control socket: who may send what, for how long, and who gets which answer. Real sockets, no processes."""

import json
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from prefork.ipc.control import Answer, Dump, Reload, Request, Status, Stop, Upgrade
from prefork.logs.log import Log
from prefork.master import control as module
from prefork.master import poller
from prefork.master.control import MOST_CLIENTS, Control, listen
from prefork.master.errors import StartError
from prefork.master.fleet import Ending, Finish, Fleet, Reloaded, ReloadFailed, Wanted
from prefork.master.outcomes import Waiting
from prefork.master.poller import Poller

FLEET = Fleet(Wanted(workers=1))
RELOAD = b'{"command":"reload"}\n'
STATUS = b'{"command":"status"}\n'


class Running:
    """A control socket in a loop of its own; a status is answered at once, everything else when that is observed."""

    def __init__(self, path: str, farewell: str = "") -> None:
        self.path = path
        self.asked: list[Request] = []
        self.message = "fine"
        self.poller = Poller()
        self.listener = listen(path)
        self.control = Control(self.listener, self.poller, self, Log("master", "error"), farewell)
        self.poller.keep_time(self)
        self._clients: list[socket.socket] = []

    def connect(self, data: bytes = b"") -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(self.path)
        client.sendall(data)
        self._clients.append(client)
        return client

    def turn_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.poller.turn()

    def read_all(self, client: socket.socket) -> bytes:
        """Let the loop turn until the client's connection ends, and return what it got."""
        received = bytearray()
        client.settimeout(0)

        def ended() -> bool:
            try:
                data = client.recv(65536)
            except BlockingIOError:
                return False
            except ConnectionResetError:  # with bytes of ours unread
                data = b""
            received.extend(data)
            return not data

        self.turn_until(ended)
        return bytes(received)

    def next_deadline(self) -> float:
        return time.monotonic() + 0.005  # so that no turn lasts

    def expire(self, now: float) -> None:
        pass

    def become_the_next_program(self) -> None:
        """Go on with the same sockets, and else with new objects, as after an execve(2)."""
        held = self.control.held()
        clients = tuple(replace(each, fd=os.dup(each.fd)) for each in held.clients)
        held = replace(held, listener=os.dup(held.listener), clients=clients)
        for served in list(self.control._clients):
            served.close()
        self.listener.sockets[0].close()
        self.poller.close()
        self.poller = Poller()
        self.listener = held.opened()
        self.control = Control(self.listener, self.poller, self, Log("master", "error"))
        self.poller.keep_time(self)
        self.control.resume(held, generation=5)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for served in list(self.control._clients):
            served.close()
        self.control.close()
        self.poller.close()

    def expect(self, request: Request) -> Waiting:
        return Waiting(request, since=None if isinstance(request, Upgrade) else 1)

    def begin(self, request: Request) -> Answer | None:
        self.asked.append(request)
        return Answer(self.message) if isinstance(request, Status | Dump) else None


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(str(tmp_path / "control.sock"))
    yield running
    running.close()


def message(line: bytes) -> Any:  # Any: a test reads JSON
    return json.loads(line)["message"]


def test_only_its_owner_may_open_the_socket(running: Running) -> None:
    assert Path(running.path).stat().st_mode & 0o777 == 0o600


def test_a_request_that_can_be_answered_at_once_is(running: Running) -> None:
    assert running.read_all(running.connect(STATUS)) == b'{"message":"fine","exit_status":0,"service":null}\n'


def test_a_request_may_come_in_pieces(running: Running) -> None:
    client = running.connect(STATUS[:5])
    for _ in range(3):
        running.poller.turn()
    client.sendall(STATUS[5:])
    assert message(running.read_all(client)) == "fine"


def test_all_who_wait_for_the_same_are_answered_together_and_nobody_else(running: Running) -> None:
    waiting = [running.connect(RELOAD) for _ in range(3)]
    stopping = running.connect(b'{"command":"stop"}\n')
    running.turn_until(lambda: len(running.asked) == 4)
    running.control.observe(FLEET, [Reloaded(7)])
    assert {message(running.read_all(each)) for each in waiting} == {"reloaded: generation 7, 1 worker ready"}
    running.control.observe(FLEET, [Finish(Ending.GRACEFUL, "")])
    running.poller.turn()
    assert message(stopping.recv(4096)) == "stopped"


def test_who_asked_to_stop_stays_connected_until_the_process_has_ended(running: Running) -> None:
    client = running.connect(b'{"command":"stop"}\n')
    running.turn_until(lambda: running.asked == [Stop()])
    for _ in range(2):
        running.control.observe(FLEET, [Finish(Ending.GRACEFUL, "")])
    assert client.recv(4096).count(b"\n") == 1
    client.settimeout(0)
    running.poller.turn()
    with pytest.raises(BlockingIOError):
        client.recv(1)


def test_who_has_stopped_a_service_that_is_started_again_is_told_so_and_nobody_else(tmp_path: Path) -> None:
    with closing(Running(str(tmp_path / "other.sock"), "it may be back")) as running:
        stopping, reloading = running.connect(b'{"command":"stop"}\n'), running.connect(RELOAD)
        running.turn_until(lambda: len(running.asked) == 2)
        running.control.observe(FLEET, [Reloaded(2), Finish(Ending.GRACEFUL, "")])
        assert message(stopping.recv(4096)) == "stopped; it may be back"
        assert message(running.read_all(reloading)) == "reloaded: generation 2, 1 worker ready"


def test_a_client_that_has_only_stopped_sending_still_gets_its_answer(running: Running) -> None:
    client = running.connect(RELOAD)
    client.shutdown(socket.SHUT_WR)
    running.turn_until(lambda: running.asked == [Reload()])
    running.poller.turn()
    running.control.observe(FLEET, [Reloaded(2)])
    assert message(running.read_all(client)) == "reloaded: generation 2, 1 worker ready"


def test_who_waits_may_do_so_for_as_long_as_it_takes(running: Running) -> None:
    client = running.connect(RELOAD)
    running.turn_until(lambda: running.asked == [Reload()])
    assert running.control.next_deadline() is None
    running.control.expire(time.monotonic() + 3600)
    running.control.observe(FLEET, [Reloaded(2)])
    assert message(running.read_all(client)) == "reloaded: generation 2, 1 worker ready"


def test_a_client_that_goes_while_it_waits_is_forgotten(running: Running) -> None:
    running.connect(RELOAD).close()
    running.turn_until(lambda: running.asked == [Reload()])
    running.turn_until(lambda: not running.control._clients)
    running.control.observe(FLEET, [Reloaded(2)])


def test_over_an_upgrade_no_client_is_forgotten(running: Running) -> None:
    running.message = "x" * 2**20
    taking = running.connect(STATUS)
    upgrading, reloading, beginning = (
        running.connect(each) for each in (b'{"command":"upgrade"}\n', RELOAD, STATUS[:5])
    )
    running.turn_until(lambda: len(running.asked) == 3)
    running.turn_until(lambda: any(each._received == STATUS[:5] for each in running.control._clients))
    running.become_the_next_program()
    assert len(running.control._clients) == 4
    assert message(running.read_all(taking)) == running.message
    running.message = "fine"
    beginning.sendall(STATUS[5:])
    assert message(running.read_all(beginning)) == "fine"
    running.control.observe(FLEET, [Reloaded(5)])
    assert message(running.read_all(reloading)) == "reloaded: generation 5, 1 worker ready"
    assert len(running.control._clients) == 1
    running.control.observe(FLEET, [Reloaded(6)])
    assert "generation 6, 1 worker ready" in message(running.read_all(upgrading))
    assert message(running.read_all(running.connect(STATUS))) == "fine"


def test_after_an_upgrade_who_is_late_is_dropped_and_who_waits_is_not(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, _silent = running.connect(RELOAD), running.connect()
    running.turn_until(lambda: running.asked == [Reload()] and len(running.control._clients) == 2)
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    running.become_the_next_program()
    running.turn_until(lambda: len(running.control._clients) == 1)
    assert running.control.next_deadline() is None
    waiting.close()
    running.turn_until(lambda: not running.control._clients)


NO_REQUESTS = {
    "nothing": b"\n",
    "a word": b"reload\n",
    "no UTF-8": b"\xff\n",
    "no UTF-8 in it": b'{"command":"\xff"}\n',
    "no command": b'{"command":"format"}\n',
    "a list": b"[]\n",
    "nested too deeply": b'{"command":"status","x":' + b"[" * 4000 + b"\n",
}


@pytest.mark.parametrize("line", NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_what_is_no_request_is_told_so(running: Running, line: bytes) -> None:
    answer = json.loads(running.read_all(running.connect(line)))
    assert answer["exit_status"] == os.EX_USAGE
    assert answer["message"].startswith("not a request: ")
    assert running.asked == []


def test_a_request_without_end_is_cut_off(running: Running) -> None:
    assert running.read_all(running.connect(b"x" * 5000)) == b""
    assert running.asked == []


def test_a_client_that_sends_nothing_is_dropped_at_its_deadline(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    assert running.read_all(running.connect(RELOAD[:-1])) == b""
    assert running.control._clients == set()


def test_who_is_waited_for_has_the_poller_woken_when_his_time_is_over(running: Running) -> None:
    assert running.control.next_deadline() is None
    running.connect(RELOAD[:-1])
    before = time.monotonic()
    running.turn_until(lambda: running.control._clients)
    deadline = running.control.next_deadline()
    assert deadline is not None
    assert before < deadline <= time.monotonic() + module.PATIENCE
    running.connect()
    running.turn_until(lambda: len(running.control._clients) == 2)
    assert running.control.next_deadline() == deadline


def test_a_client_that_does_not_take_its_answer_is_dropped_at_its_deadline(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.message = "x" * 2**20
    running.connect(STATUS)
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    running.turn_until(lambda: running.asked)
    assert len(running.control._clients) == 1
    running.turn_until(lambda: not running.control._clients)


def test_a_long_answer_is_sent_in_pieces(running: Running) -> None:
    running.message = "x" * 2**20
    assert message(running.read_all(running.connect(STATUS))) == running.message


def test_a_client_too_many_is_told_to_come_back(running: Running) -> None:
    for _ in range(MOST_CLIENTS):
        running.connect(RELOAD)
        running.poller.turn()
    running.turn_until(lambda: len(running.asked) == MOST_CLIENTS)
    answer = json.loads(running.read_all(running.connect()))
    assert answer["exit_status"] == os.EX_TEMPFAIL


def test_who_goes_before_he_is_answered_holds_up_nobody(running: Running) -> None:
    refused: list[OSError] = []
    running.poller.on_failure = refused.append
    running.connect().close()
    for _ in range(MOST_CLIENTS):
        running.connect(RELOAD)
        running.poller.turn()
    running.turn_until(lambda: len(running.asked) == MOST_CLIENTS)
    running.connect().close()
    answer = json.loads(running.read_all(running.connect()))
    assert answer["exit_status"] == os.EX_TEMPFAIL
    assert refused == []


def test_a_reload_listens_anew_where_the_file_was_removed_and_only_there(running: Running) -> None:
    path = Path(running.path)
    first = path.stat().st_ino
    running.control.observe(FLEET, [Reloaded(2)])
    assert path.stat().st_ino == first
    path.unlink()
    path.mkdir()
    running.control.observe(FLEET, [ReloadFailed(3, 2, "no")])
    assert path.is_dir()
    path.rmdir()
    running.control.observe(FLEET, [Reloaded(3)])
    assert message(running.read_all(running.connect(STATUS))) == "fine"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else")
def test_only_root_and_the_same_user_are_obeyed() -> None:
    with tempfile.TemporaryDirectory() as folder:  # where others get in, unlike tmp_path
        Path(folder).chmod(0o755)
        opened = Running(f"{folder}/control.sock")
        Path(opened.path).chmod(0o666)
        os.seteuid(65534)
        try:
            stranger = opened.connect(STATUS)
        finally:
            os.seteuid(0)
        answer = json.loads(opened.read_all(stranger))
        assert (answer["exit_status"], opened.asked) == (os.EX_NOPERM, [])
        root = opened.connect(STATUS)
        os.seteuid(65534)
        try:
            same = opened.connect(STATUS)
            assert [message(opened.read_all(each)) for each in (root, same)] == ["fine", "fine"]
        finally:
            os.seteuid(0)
        opened.close()


def test_a_path_where_somebody_listens_is_refused_and_one_that_is_left_over_is_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "control.sock")
    first = listen(path)
    with pytest.raises(StartError) as refusal:
        listen(path)
    assert refusal.value.status == os.EX_UNAVAILABLE
    for sock in first.sockets:
        sock.close()  # as when it was killed
    second = listen(path)
    first.close()
    assert Path(path).exists()
    second.close()
    assert not Path(path).exists()


def test_without_descriptors_it_pauses_and_goes_on(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "PAUSE", 0.05)

    class Exhausted:
        """A listener that has run out of descriptors."""

        def __init__(self, real: socket.socket) -> None:
            self.real, self.failures = real, 0
            self.fileno, self.close = real.fileno, real.close

        def accept(self) -> tuple[socket.socket, object]:
            self.failures += 1
            if self.failures == 1:
                raise OSError(24, "Too many open files")
            return self.real.accept()

    listener = Exhausted(running.control._socket)
    monkeypatch.setattr(running.control, "_socket", listener)
    assert message(running.read_all(running.connect(STATUS))) == "fine"
    assert listener.failures == 2
