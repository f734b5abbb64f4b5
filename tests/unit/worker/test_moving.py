"""Moving connections between two loops, by real sockets: nothing is lost when the heir is behind, or gone."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from itertools import count, islice

import pytest

from prefork.http.messages import Limits, Peer, Response
from prefork.http.protocol import Protocol
from prefork.http.service import Service
from prefork.http.waiting import Waiting
from prefork.ipc.handover import LARGEST_PARCEL, MOST_AT_ONCE, Handover, handover_pair
from prefork.logs.log import Log
from prefork.worker.connection import Connection, Moved
from prefork.worker.loop import WRITABLE, Loop
from prefork.worker.moving import Arrivals, Departures, Sharing
from tests.unit.descriptors import none_from

PEER = Peer(b"127.0.0.1")

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
COUNT = 300  # more than a narrow handover holds at once
LARGEST_HEAD = 1 << 20


class Side:
    """A loop and its connections."""

    def __init__(self, body: bytes = b"") -> None:
        self.loop = Loop()
        self.service = Service(
            lambda _request, _peer, _content: Response(200, (), body), Limits(head=LARGEST_HEAD, field=LARGEST_HEAD)
        )
        self.connections: set[Connection] = set()
        self.arrivals: set[Arrivals] = set()

    def connect(self, sock: socket.socket, peer: Peer = PEER) -> Connection:
        sock.settimeout(0)
        connection = self._connection(sock, peer)
        connection.begin(to_read=False)
        return connection

    def _connection(self, sock: socket.socket, peer: Peer) -> Connection:
        return Connection(sock, peer, Protocol(self.service, Peer(b"127.0.0.1")), self.loop, self.connections)

    def receive_from(self, theirs: socket.socket) -> None:
        """Take over what comes there."""
        Arrivals(Handover(theirs), self.loop, self.arrivals, self.adopt, Log("worker-1", "info"))

    def adopt(self, sock: socket.socket, moved: Moved) -> None:
        assert sock.gettimeout() == 0
        self._connection(sock, PEER).resume(moved)

    def turn(self) -> None:
        """Let the loop turn once, with what is ready now."""
        self.loop.running = True

        def end() -> None:
            self.loop.running = False

        self.loop.after_turn[:] = [end]
        self.loop.call_at(self.loop.now, lambda: None)  # so that it doesn't wait
        self.loop.call_at(float("inf"), lambda: None)
        self.loop.run()

    def close(self) -> None:
        for connection in list(self.connections):
            connection.close()
        self.loop.close()


def narrow_pair() -> tuple[socket.socket, socket.socket]:
    """Return a handover that holds as little as the kernel allows (socket(7), SO_SNDBUF)."""
    ours, theirs = handover_pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    return ours, theirs


@pytest.fixture
def clients() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    pairs = [socket.socketpair() for _ in range(COUNT)]
    yield pairs
    for pair in pairs:
        for each in pair:
            each.close()


@pytest.fixture
def sides() -> Iterator[tuple[Side, Side]]:
    both = Side(), Side()
    yield both
    for each in both:
        each.close()


Clients = list[tuple[socket.socket, socket.socket]]


def test_connections_wait_for_an_heir_that_is_behind(clients: Clients) -> None:
    leaving, staying = Side(), Side()
    for _, ours in clients:
        leaving.connect(ours)
    ours, theirs = narrow_pair()
    departures = Departures([Handover(ours)], leaving.loop, Log("worker-0", "info"))
    for _ in range(3):  # turns in which the heir takes nothing
        assert not departures.move(leaving.connections)
        leaving.turn()
    assert 0 < len(leaving.connections) < COUNT
    staying.receive_from(theirs)
    for _ in range(COUNT):
        all_moved = departures.move(leaving.connections)
        assert all_moved is not bool(leaving.connections)
        leaving.turn()
        staying.turn()
        if all_moved:
            break
    departures.close()
    while staying.arrivals:
        staying.turn()
    assert len(staying.connections) == COUNT
    for client, _ in clients:
        client.sendall(GET)
    staying.turn()
    assert all(client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n") for client, _ in clients)
    leaving.close()
    staying.close()


def test_what_has_moved_is_never_waited_for_though_the_application_waits_for_its_own_sockets(
    clients: Clients, sides: tuple[Side, Side]
) -> None:
    having, lacking = sides
    having.connect(clients[0][1])
    departing, arriving = handover_pair()
    lacking.receive_from(arriving)
    socket.setdefaulttimeout(5)
    try:
        share(1, having, departing)
        while lacking.arrivals:
            having.turn()
            lacking.turn()
    finally:
        socket.setdefaulttimeout(None)
    assert len(lacking.connections) == 1


def test_an_heir_that_is_behind_at_the_end_is_waited_for_no_more(clients: Clients, sides: tuple[Side, Side]) -> None:
    leaving, _ = sides
    for _, ours in clients:
        leaving.connect(ours)
    departing, arriving = narrow_pair()
    departures = Departures([Handover(departing)], leaving.loop, Log("worker-0", "info"))
    assert not departures.move(leaving.connections)
    assert watched(leaving) == len(leaving.connections) + 1
    departures.close()
    assert watched(leaving) == len(leaving.connections) > 0
    arriving.close()


@pytest.mark.parametrize("asked", [1, 3])
def test_an_answer_that_is_too_large_to_move_stays_until_its_client_has_taken_enough(asked: int) -> None:
    leaving, staying = Side(b"x" * LARGEST_PARCEL), Side()
    client, ours = socket.socketpair()
    client.settimeout(5)
    connection = leaving.connect(ours)
    client.sendall(GET * asked + GET[:10])
    leaving.turn()
    departing, arriving = handover_pair()
    departures = Departures([Handover(departing)], leaving.loop, Log("worker-0", "info"))
    staying.receive_from(arriving)
    received = b""
    while leaving.connections:
        departures.move(leaving.connections)
        received += client.recv(1 << 14)
        leaving.turn()
    assert connection.fileno() == -1
    departures.close()
    while staying.arrivals:
        staying.turn()
    client.sendall(GET[10:])
    client.settimeout(0)
    while received.count(b"HTTP/1.1 200 OK\r\n") <= asked:
        staying.turn()
        with suppress(BlockingIOError):
            received += client.recv(1 << 20)
    assert received.count(b"x") == LARGEST_PARCEL  # the other requests waited, and the heir has answered them
    assert b"Connection: close" not in received
    client.close()
    staying.close()
    leaving.close()


def test_connections_of_an_heir_that_has_gone_move_to_another_in_the_same_turn(
    clients: Clients,
) -> None:
    leaving = Side()
    for _, ours in clients[:10]:
        leaving.connect(ours)
    gone, another = handover_pair(), handover_pair()
    gone[1].close()
    departures = Departures([Handover(each[0]) for each in (gone, another)], leaving.loop, Log("worker-0", "info"))
    assert departures.move(leaving.connections)
    assert not leaving.connections
    departures.close()
    another[1].close()
    leaving.close()


def test_connections_of_an_heir_that_has_gone_are_kept(clients: Clients) -> None:
    leaving = Side()
    for _, ours in clients:
        leaving.connect(ours)
    ours, theirs = narrow_pair()
    departures = Departures([Handover(ours)], leaving.loop, Log("worker-0", "info"))
    departures.move(leaving.connections)
    kept = len(leaving.connections)
    theirs.close()
    leaving.turn()
    departures.move(leaving.connections)
    assert 0 < kept == len(leaving.connections)
    leaving.close()


# What is too large for a message


def test_what_is_larger_than_a_message_moves_when_its_client_has_taken_enough() -> None:
    leaving, staying = Side(b"x" * (LARGEST_PARCEL - 1000)), Side()
    client, ours = socket.socketpair()
    connection = leaving.connect(ours)
    with suppress(BlockingIOError):
        while True:
            ours.send(b"." * 4096)
    client.sendall(GET + GET[:-2] + b"X: " + b"y" * 8000)
    leaving.turn()
    departing, arriving = handover_pair()
    departures = Departures([Handover(departing)], leaving.loop, Log("worker-0", "info"))
    staying.receive_from(arriving)
    assert connection.can_move
    assert departures.move(leaving.connections)
    assert leaving.connections
    assert not connection._protocol._draining
    received = b""
    while leaving.connections:
        received += client.recv(1 << 14)
        leaving.turn()
        departures.move(leaving.connections)
    departures.close()
    client.sendall(b"\r\n\r\n")
    client.settimeout(0)
    while received.count(b"HTTP/1.1 200 OK\r\n") < 2:
        staying.turn()
        with suppress(BlockingIOError):
            received += client.recv(1 << 20)
    assert b"Connection: close" not in received
    client.close()
    staying.close()
    leaving.close()


def test_a_request_that_is_larger_than_a_message_is_answered_where_it_has_begun_as_the_last(
    clients: Clients, sides: tuple[Side, Side]
) -> None:
    (client, ours), (_, idle), *_ = clients
    leaving, _ = sides
    connection = leaving.connect(ours)
    client.settimeout(5)
    sent = client.send(GET[:-2] + b"X: ")
    while sent < LARGEST_PARCEL:
        sent += client.send(b"y" * 4096)
        leaving.turn()
    leaving.connect(idle)
    departing, arriving = handover_pair()
    departures = Departures([Handover(departing)], leaving.loop, Log("worker-0", "info"))
    assert departures.move(leaving.connections)
    assert leaving.connections == {connection}
    client.sendall(b"\r\n\r\n")
    leaving.turn()
    answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    departures.close()
    arriving.close()


def test_what_is_too_much_for_one_message_moves_in_several(clients: Clients, sides: tuple[Side, Side]) -> None:
    leaving, staying = sides
    for client, ours in clients[:30]:
        leaving.connect(ours)
        client.sendall(GET[:-2] + b"X: " + b"y" * 10_000)
    leaving.turn()
    departing, arriving = handover_pair()
    departures = Departures([Handover(departing)], leaving.loop, Log("worker-0", "info"))
    staying.receive_from(arriving)
    assert departures.move(leaving.connections)
    assert not leaving.connections
    departures.close()
    while staying.arrivals:
        staying.turn()
    assert len(staying.connections) == 30
    for client, _ in clients[:30]:
        client.sendall(b"\r\n\r\n")
    staying.turn()
    assert all(client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n") for client, _ in clients[:30])


# What can't move


@pytest.mark.parametrize(("heirs", "waiting_for"), [(1, Waiting.REQUEST), (0, Waiting.LAST)])
def test_what_can_not_move_is_drained_where_no_heir_is_left(
    clients: Clients, sides: tuple[Side, Side], heirs: int, waiting_for: Waiting
) -> None:
    leaving, _ = sides
    encrypted = leaving.connect(clients[0][1], Peer(b"127.0.0.1", b"https"))
    leaving.connect(clients[1][1])
    departing, arriving = handover_pair()
    if not heirs:
        arriving.close()
    departures = Departures([Handover(departing)], leaving.loop, Log("worker-0", "info"))
    assert departures.move(leaving.connections)
    assert (encrypted in leaving.connections, encrypted.waiting_for) == (True, waiting_for)
    departures.close()
    arriving.close()


def test_heirs_get_their_share_by_turns_and_the_log_tells_how_many(
    clients: Clients, capfd: pytest.CaptureFixture[str]
) -> None:
    leaving, heirs = Side(), [Side(), Side()]
    for _, ours in clients[: MOST_AT_ONCE * 2]:
        leaving.connect(ours)
    pairs = [handover_pair() for _ in heirs]
    departures = Departures([Handover(ours) for ours, _ in pairs], leaving.loop, Log("worker-0", "info"))
    for heir, (_, theirs) in zip(heirs, pairs, strict=True):
        heir.receive_from(theirs)
    departures.move(leaving.connections)
    departures.close()
    for heir in heirs:
        while heir.arrivals:
            heir.turn()
        assert len(heir.connections) == MOST_AT_ONCE
        assert watched(heir) == len(heir.connections)
        heir.close()
    leaving.close()
    told = capfd.readouterr().err
    assert f"connections handed over count={MOST_AT_ONCE * 2}\n" in told
    assert told.count(f"connections taken over count={MOST_AT_ONCE}\n") == 2


def test_an_heir_to_whom_nobody_comes_says_nothing(sides: tuple[Side, Side], capfd: pytest.CaptureFixture[str]) -> None:
    leaving, staying = sides
    departing, arriving = handover_pair()
    staying.receive_from(arriving)
    Departures([Handover(departing)], leaving.loop, Log("worker-0", "info")).close()
    staying.turn()
    assert (staying.arrivals, watched(staying), watched(leaving)) == (set(), 0, 0)
    assert capfd.readouterr().err == ""


def watched(side: Side) -> int:
    """Return how many descriptors its loop watches."""
    return len(side.loop.descriptors()) - 1


def room_for(number: int) -> AbstractContextManager[None]:
    """Allow this process so many more descriptors."""
    used = {int(each) for each in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{each}")}
    return none_from(next(islice((each for each in count() if each not in used), number, None)))


def test_what_no_descriptor_is_left_for_is_told(
    clients: Clients, sides: tuple[Side, Side], capfd: pytest.CaptureFixture[str]
) -> None:
    leaving, staying = sides
    for _, ours in clients[:10]:
        leaving.connect(ours)
    departing, arriving = handover_pair()
    departures = Departures([Handover(departing)], leaving.loop, Log("worker-0", "info"))
    staying.receive_from(arriving)
    departures.move(leaving.connections)
    departures.close()
    with room_for(3):
        staying.turn()
    staying.turn()
    assert (len(staying.connections), staying.arrivals) == (3, set())
    told = capfd.readouterr().err
    assert "connections lost on their way count=7 " in told
    assert "connections taken over count=3\n" in told


# Sharing


def share(number: int, having: Side, departing: socket.socket) -> Sharing:
    return Sharing(number, Handover(departing), having.connections, having.loop, Log("worker-0", "info"))


@pytest.mark.parametrize("number", [1, MOST_AT_ONCE, MOST_AT_ONCE + 1, COUNT])
def test_so_many_connections_are_shared_and_no_more(
    clients: Clients, sides: tuple[Side, Side], capfd: pytest.CaptureFixture[str], number: int
) -> None:
    having, lacking = sides
    for _, ours in clients:
        having.connect(ours)
    departing, arriving = handover_pair()
    lacking.receive_from(arriving)
    share(number, having, departing)
    while lacking.arrivals:
        having.turn()
        lacking.turn()
    assert (len(having.connections), len(lacking.connections)) == (COUNT - number, number)
    assert watched(having) == len(having.connections)
    assert f"connections shared count={number}\n" in capfd.readouterr().err


def test_only_idle_connections_are_shared(
    clients: Clients, sides: tuple[Side, Side], capfd: pytest.CaptureFixture[str]
) -> None:
    having, lacking = sides
    for number, (client, ours) in enumerate(clients[:5]):
        having.connect(ours)
        if number < 3:
            client.sendall(GET[:10])
    encrypted = having.connect(clients[5][1], Peer(b"127.0.0.1", b"https"))
    having.turn()
    busy = {each for each in having.connections if each.waiting_for is Waiting.HEAD}
    departing, arriving = handover_pair()
    lacking.receive_from(arriving)
    share(6, having, departing)
    while lacking.arrivals:
        having.turn()
        lacking.turn()
    assert len(busy) == 3
    assert having.connections == {*busy, encrypted}
    assert "connections shared count=2\n" in capfd.readouterr().err


def test_sharing_with_a_worker_that_is_behind_waits_for_it(clients: Clients, sides: tuple[Side, Side]) -> None:
    having, lacking = sides
    for _, ours in clients:
        having.connect(ours)
    departing, arriving = narrow_pair()
    sharing = share(COUNT, having, departing)
    for _ in range(20):
        sharing.on_writable(WRITABLE)
    assert 0 < len(having.connections) < COUNT
    lacking.receive_from(arriving)
    while lacking.arrivals:
        having.turn()
        lacking.turn()
    assert (len(having.connections), len(lacking.connections)) == (0, COUNT)


def test_what_is_to_be_shared_with_a_worker_that_has_gone_is_kept(
    clients: Clients, sides: tuple[Side, Side], capfd: pytest.CaptureFixture[str]
) -> None:
    having, _ = sides
    for _, ours in clients[:5]:
        having.connect(ours)
    departing, arriving = handover_pair()
    arriving.close()
    share(3, having, departing)
    having.turn()
    assert (len(having.connections), watched(having), departing.fileno()) == (5, 5, -1)
    assert re.findall(r"connections not shared reason=.* left=(\d+)", capfd.readouterr().err) == ["3"]
