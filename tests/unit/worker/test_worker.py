"""A worker in this process, between a real master's end of the channel and real clients."""

import math
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from prefork.apps.interface import Application
from prefork.config.schema import Config
from prefork.http.forwarded import Forwarding
from prefork.http.messages import Response
from prefork.http.trust import NOBODY
from prefork.http.waiting import Waiting
from prefork.ipc.channel import Adopt, Left, Listen, Message, Ready, RecycleMe, Reopen, Retire, channel_pair
from prefork.ipc.handover import handover_pair
from prefork.ipc.scoreboard import ACCEPTING, Scoreboard
from prefork.ipc.seat import Seat
from prefork.logs.access import AccessLog
from prefork.logs.files import LogFiles
from prefork.logs.log import Log
from prefork.worker.connection import Connection
from prefork.worker.signals import IGNORED, OBEYED, OF_TERMINAL, ignore
from prefork.worker.worker import Worker

Stderr = pytest.CaptureFixture[str]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CONFIG = Config(keep_alive_timeout=60, header_timeout=60, body_timeout=60, write_timeout=60, hang_timeout=0.0)
PAUSE = 0.005  # seconds between two turns
HELLO = Response(200, (), b"Hello")


class Office:
    """The master's end of a worker, its listener, and what happens after each turn of its loop."""

    def __init__(self, files: LogFiles | None = None, graceful_timeout: float = 5.0) -> None:
        self.channel, self._theirs = channel_pair()
        self.listener = listen()
        self.clients: list[Client] = []
        self._seen = set[Connection]()
        config = replace(CONFIG, graceful_timeout=graceful_timeout)
        self.stops = 0
        application = Application(lambda _request, _peer, _content: HELLO, pre_stop=self._pre_stop)
        scoreboard = Scoreboard()
        seat = Seat(0, 1, (self.listener,), self._theirs, scoreboard.take(), scoreboard, stacks=2)
        log, believed = Log("worker-0", "info"), Forwarding(NOBODY)
        self.worker = Worker(seat, config, application, log, files or LogFiles(), forwarding=believed)

    def _pre_stop(self) -> None:
        self.stops += 1

    def client(self, *requests: bytes, to: socket.socket | None = None) -> "Client":
        client = Client((to or self.listener).getsockname(), requests)
        self.clients.append(client)
        return client

    def run(self, *steps: Callable[[], bool]) -> None:
        """Run the worker. After each turn the clients go on, and the first step that is left, until it says True."""
        left = list(steps)

        def after_turn() -> None:
            loop = self.worker._loop
            loop.call_at(loop.now + PAUSE, lambda: None)  # so that steps don't wait for the tick
            self._seen |= self.worker._connections
            for client in self.clients:
                client.go_on()
            if left and left[0]():
                left.pop(0)

        self.worker._loop.after_turn.append(after_turn)
        self.worker.run()
        for client in self.clients:
            client.go_on()

    def retire(self, *, for_good: bool, timeout: float = 5.0, left_by: float | None = None) -> bool:
        self.channel.send(Retire(timeout, for_good=for_good, left_by=left_by))
        return True

    def abandon(self) -> bool:
        """Be gone, as a killed master is."""
        self.channel.close()
        return True

    def close(self) -> None:
        worker = self.worker
        for acceptor in worker._acceptors:
            acceptor.leave()
        for connection in self._seen:
            connection._socket.close()  # those that were cut off, too: a worker leaves that to its exit
        worker._signals.close()
        worker._loop.close()
        self.channel.close()
        self._theirs.close()
        for each in (self.listener, *(client.socket for client in self.clients)):
            each.close()


class Client:
    """Sends its requests one after the other, each after the answer to the one before; closes when it is told to."""

    def __init__(self, address: tuple[str, int], requests: tuple[bytes, ...]) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.settimeout(0)
        self.answers: list[bytes] = []
        self.is_over = False
        self._left = list(requests)
        self._send()

    def go_on(self) -> None:
        """Read what there is, and send on or close."""
        if self.is_over:
            return
        try:
            answer = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        if answer:
            self.answers.append(answer)
            self._send()
        else:
            self.is_over = True
            self.socket.close()

    def _send(self) -> None:
        if self._left:
            self.socket.send(self._left.pop(0))


def listen() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.settimeout(0)
    return sock


@pytest.fixture
def saved_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give this process back its signals, and what else a worker changes in its own."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    saved = {number: signal.getsignal(number) for number in (OBEYED, *IGNORED, *OF_TERMINAL)}
    yield
    for number, action in saved.items():
        signal.signal(number, action)


@pytest.fixture
def office(saved_process: None) -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


def test_a_worker_says_that_it_is_ready_and_leaves_when_it_is_told(office: Office) -> None:
    office.retire(for_good=True)
    office.run()
    assert office.channel.receive() == (Ready(), [])
    assert office.listener.fileno() == -1


def test_a_worker_leaves_when_its_master_is_gone_and_says_so_once(office: Office, capfd: Stderr) -> None:
    client = office.client(GET, GET[:10])
    office.run(
        lambda: len(client.answers) == 1,
        office.abandon,
        lambda: office.listener.fileno() == -1,
        *[lambda: True] * 3,
        lambda: client.socket.send(GET[10:]) > 0,
    )
    assert len(client.answers) == 2
    assert capfd.readouterr().err.count("master gone: leaving") == 1


def test_a_worker_whose_master_is_gone_before_it_is_ready_leaves_too(office: Office, capfd: Stderr) -> None:
    office.abandon()
    office.run()
    assert "master gone: leaving" in capfd.readouterr().err


def test_a_worker_has_beaten_before_it_says_that_it_is_ready(office: Office) -> None:
    assert office.worker._row.beat == pytest.approx(office.worker._loop.now)


@pytest.mark.parametrize("timeout", [0.001, 1000.0])
def test_a_worker_returns_how_much_of_its_time_is_left(office: Office, timeout: float) -> None:
    office.retire(for_good=True, timeout=timeout)
    began = office.worker._loop.now
    left = office.worker.run()
    assert left == pytest.approx(max(0.0, began + timeout - office.worker._loop.now))


def test_a_worker_that_gets_sigterm_asks_once_to_be_replaced_and_serves_on(office: Office) -> None:
    client = office.client(GET, GET)
    os.kill(os.getpid(), OBEYED)

    def asked() -> bool:
        os.kill(os.getpid(), OBEYED)
        return bool(client.answers)

    def tick() -> bool:
        office.worker._on_tick()
        return True

    office.run(asked, tick, lambda: office.retire(for_good=True))
    assert [office.channel.receive() for _ in range(2)] == [(Ready(), []), (RecycleMe("SIGTERM"), [])]
    with pytest.raises(BlockingIOError):
        office.channel.receive()
    assert client.is_over


def test_a_worker_that_could_not_ask_to_be_replaced_asks_again(office: Office) -> None:
    heard: list[Message] = []

    def be_deaf() -> bool:
        with suppress(BlockingIOError):
            while True:
                office._theirs.send(Left())
        os.kill(os.getpid(), OBEYED)
        return True

    def is_asked() -> bool:
        with suppress(BlockingIOError):
            while received := office.channel.receive():
                heard.append(received[0])
        return RecycleMe("SIGTERM") in heard

    office.run(be_deaf, lambda: True, is_asked, lambda: office.retire(for_good=True))
    assert heard.count(RecycleMe("SIGTERM")) == 1


def test_sigterm_changes_nothing_for_a_worker_that_is_leaving(office: Office) -> None:
    client = office.client(GET)

    def signalled() -> bool:
        os.kill(os.getpid(), OBEYED)
        return True

    office.run(
        lambda: len(client.answers) == 1,
        lambda: office.retire(for_good=False),
        lambda: office.listener.fileno() == -1,
        signalled,
        lambda: client.socket.send(GET) > 0,
    )
    assert [b"\r\nConnection: close\r\n" in answer for answer in client.answers] == [False, True]
    assert office.channel.receive() == (Ready(), [])
    with pytest.raises(BlockingIOError):
        office.channel.receive()


def test_a_worker_ignores_the_signals_that_are_for_its_master(office: Office) -> None:
    assert {signal.getsignal(number) for number in IGNORED} == {ignore}
    client = office.client(GET, GET)

    def signalled() -> bool:
        for number in IGNORED:
            os.kill(os.getpid(), number)
        return bool(client.answers)

    office.run(signalled, lambda: len(client.answers) == 2, lambda: office.retire(for_good=True))
    assert office.channel.receive() == (Ready(), [])
    with pytest.raises(BlockingIOError):
        office.channel.receive()


def test_clients_are_served_with_the_date_and_go_on(office: Office) -> None:
    client = office.client(GET, GET, GET)
    office.run(lambda: len(client.answers) == 3, lambda: office.retire(for_good=True))
    assert all(answer.endswith(b"\r\n\r\nHello") and b"\r\nDate: " in answer for answer in client.answers)
    assert client.is_over


def test_those_who_wait_when_a_worker_leaves_for_good_are_served(office: Office) -> None:
    clients = [office.client(GET) for _ in range(5)]
    office.retire(for_good=True)
    office.run()
    assert [len(client.answers) for client in clients] == [1] * 5
    assert all(client.is_over for client in clients)


def test_a_worker_that_is_replaced_leaves_with_the_next_answer_to_each(office: Office) -> None:
    client = office.client(GET)
    office.run(
        lambda: len(client.answers) == 1,
        lambda: office.retire(for_good=False),
        lambda: office.listener.fileno() == -1,
        lambda: client.socket.send(GET) > 0,
    )
    assert [b"\r\nConnection: close\r\n" in answer for answer in client.answers] == [False, True]


def test_a_worker_says_once_that_it_has_left_when_it_is_asked_to(office: Office) -> None:
    client = office.client(GET, GET[:10])
    office.run(
        lambda: len(client.answers) == 1,
        lambda: office.retire(for_good=False, left_by=math.inf),
        lambda: office.listener.fileno() == -1,
        lambda: client.socket.send(GET[10:]) > 0,
    )
    assert [office.channel.receive() for _ in range(2)] == [(Ready(), []), (Left(), [])]
    with pytest.raises(BlockingIOError):
        office.channel.receive()


@pytest.mark.parametrize("left_by", [None, 0.0])
def test_a_worker_does_not_tell_a_master_that_it_has_left_which_does_not_ask_or_waits_no_longer(
    office: Office, left_by: float | None
) -> None:
    office.retire(for_good=False, left_by=left_by)
    office.run()
    assert office.channel.receive() == (Ready(), [])
    with pytest.raises(BlockingIOError):
        office.channel.receive()


def test_a_worker_that_is_told_to_leave_while_it_starts_takes_no_connection(office: Office) -> None:
    with office.listener.dup() as masters:
        office.client(GET)
        office.retire(for_good=False)
        office.run()
        waiting, _ = masters.accept()
        waiting.close()


def test_a_worker_cuts_off_who_has_not_finished_in_time(office: Office, capfd: Stderr) -> None:
    client = office.client(GET, GET[:10])
    office.run(lambda: len(client.answers) == 1, lambda: office.retire(for_good=True, timeout=0.05))
    assert "connections cut count=1" in capfd.readouterr().err


def test_a_worker_that_waits_for_a_hand_over_without_an_end_leaves_in_time(office: Office) -> None:
    ours, theirs = handover_pair()
    office.channel.send(Adopt(), [theirs.fileno()])
    office.run(lambda: office.retire(for_good=False, timeout=0.05))
    theirs.close()
    with pytest.raises(BrokenPipeError):
        ours.send(b"")
    ours.close()


def test_a_worker_keeps_nothing_of_a_hand_over_that_has_ended(office: Office) -> None:
    ours, theirs = handover_pair()
    office.channel.send(Adopt(), [theirs.fileno()])
    theirs.close()

    def end() -> bool:
        ours.close()
        return True

    office.run(
        lambda: len(office.worker._leaving.arrivals) == 1,
        end,
        lambda: not office.worker._leaving.arrivals,
        lambda: office.retire(for_good=True),
    )


def test_a_worker_that_is_told_twice_to_leave_stops_to_accept_once(office: Office, capfd: Stderr) -> None:
    client = office.client(GET, GET[:10])

    def tick() -> bool:
        office.worker._on_tick()
        return True

    office.run(
        lambda: len(client.answers) == 1,
        tick,
        lambda: office.retire(for_good=False),
        tick,
        lambda: office.retire(for_good=True),
        tick,
        lambda: client.socket.send(GET[10:]) > 0,
    )
    assert (len(client.answers), office.stops, office.worker._row[ACCEPTING]) == (2, 1, 0)
    assert "accept" not in capfd.readouterr().err


def test_a_worker_serves_further_listeners_that_it_is_given(office: Office) -> None:
    with listen() as further:
        office.channel.send(Listen(), [further.fileno()])
        client = office.client(GET, to=further)
        office.run(lambda: len(client.answers) == 1, lambda: office.retire(for_good=True))
    assert client.is_over


def test_a_worker_logs_requests_and_goes_on_in_a_fresh_file(saved_process: None, tmp_path: Path, capfd: Stderr) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    files = LogFiles(access_log=str(path))
    office = Office(files)
    first, second = office.client(GET), None

    def reopen() -> bool:
        path.rename(moved)
        fresh = os.open(path, os.O_WRONLY | os.O_CREAT)
        office.channel.send(Reopen(), [fresh])
        os.close(fresh)
        return True

    def come_again() -> bool:
        nonlocal second
        second = office.client(GET)
        return True

    office.run(
        lambda: len(first.answers) == 1 and path.read_bytes() != b"",
        reopen,
        come_again,
        lambda: second is not None and len(second.answers) == 1,
        lambda: office.retire(for_good=True),
    )
    assert [len(each.read_bytes().splitlines()) for each in (moved, path)] == [1, 1]
    office.close()
    files.close()


def test_lines_lost_from_the_access_log_are_counted_in_the_log(office: Office, capfd: Stderr) -> None:
    lossy = AccessLog(-1)
    lossy.lost = 3
    office.worker._access_log = lossy
    office.retire(for_good=True)
    office.run()
    assert "access log lines lost count=3" in capfd.readouterr().err
    assert lossy.lost == 0


def test_who_says_nothing_in_time_is_closed(office: Office) -> None:
    client = office.client()
    office.run(
        lambda: len(office.worker._connections) == 1,
        lambda: long_ago(office.worker),
        lambda: client.is_over,
        lambda: office.retire(for_good=True),
    )
    assert client.answers == []


def test_who_said_in_time_what_the_worker_had_no_time_to_read_is_answered(office: Office) -> None:
    client = office.client(GET, GET[:10])

    def have_been_busy() -> bool:
        """Be where a worker is after an application has kept its loop for long."""
        client.socket.send(GET[10:])
        waiting = [each for each in office.worker._connections if each.waiting_for is Waiting.HEAD]
        assert select.select(waiting, [], [], 5)[0], "it has not arrived"
        office.worker._loop.call_at(0.0, office.worker._on_tick)
        return long_ago(office.worker)

    office.run(
        lambda: len(client.answers) == 1 and any(each.waiting_for is Waiting.HEAD for each in office._seen),
        have_been_busy,
        lambda: len(client.answers) == 2,
        lambda: office.retire(for_good=True),
    )
    assert client.answers[1].endswith(b"Hello")


def long_ago(worker: Worker) -> bool:
    for connection in worker._connections:
        connection.since -= 1000
    return True
