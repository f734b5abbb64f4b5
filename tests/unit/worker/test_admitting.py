"""Who is let in, who is refused, and how peers are named; on real sockets, whose clients never close."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from prefork.http.messages import Limits, Peer, Response
from prefork.http.reasons import GIVEN_UP
from prefork.http.service import Service
from prefork.http.waiting import Waiting
from prefork.ipc.scoreboard import CONNECTIONS, Scoreboard
from prefork.logs.log import Log
from prefork.worker.admitting import CROWDING, MOST_REFUSED, Admission, Capacity, peer_name
from prefork.worker.loop import READABLE, Loop
from prefork.worker.opening import Opener, Step

ADDRESS = ("192.0.2.1", 5000)
OTHER = ("192.0.2.2", 5000)


class Door:
    """An admission, and the clients that have knocked."""

    def __init__(self, capacity: Capacity, at_end: ExitStack, *openers: Opener) -> None:
        self.loop = Loop()
        at_end.callback(self.loop.close)
        scoreboard = Scoreboard()
        at_end.callback(os.close, scoreboard.fd)
        self.row = scoreboard.take()
        self.service = Service(lambda _request, _peer, _content: Response(200), Limits())
        self.admission = Admission(self.service, None, self.loop, self.row, capacity, openers=openers)
        self._at_end = at_end

    def knock(self, address: object = ADDRESS) -> str:
        """Return what becomes of a connection from there."""
        ours, theirs = (self._at_end.enter_context(end) for end in socket.socketpair())
        for end in (ours, theirs):
            end.settimeout(0)
        self.admission.accept(ours, address, to_read=False)
        try:
            said = theirs.recv(1000)
        except BlockingIOError:
            return "let in"
        return "refused" if said.startswith(b"HTTP/1.1 503 ") else "closed"


@pytest.fixture
def at_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_who_is_refused_takes_the_place_of_nobody(at_end: ExitStack) -> None:
    door = Door(Capacity(connections=2, wait=False), at_end)
    assert [door.knock() for _ in range(4)] == ["let in", "let in", "refused", "refused"]
    next(iter(door.admission.connections)).close()
    assert [door.knock(), door.knock()] == ["let in", "refused"]


def test_where_others_wait_whoever_has_come_all_the_same_is_let_in(at_end: ExitStack) -> None:
    door = Door(Capacity(connections=1), at_end)
    assert not door.admission.must_wait()
    assert door.knock() == "let in"
    assert door.admission.must_wait()
    assert door.knock() == "let in"


def test_where_others_are_refused_nobody_waits(at_end: ExitStack) -> None:
    door = Door(Capacity(connections=1, wait=False), at_end)
    assert [door.knock(), door.admission.must_wait()] == ["let in", False]


def test_the_row_tells_at_once_how_many_there_are(at_end: ExitStack) -> None:
    door = Door(Capacity(), at_end)
    for number in range(1, 4):
        door.knock()
        assert (door.row[CONNECTIONS], door.admission.is_empty) == (number, False)


def test_a_client_that_is_refused_does_not_count_either_and_its_proxy_never_is(at_end: ExitStack) -> None:
    door = Door(Capacity(per_client=1, is_proxy=lambda address: address == b"192.0.2.2"), at_end)
    assert [door.knock() for _ in range(3)] == ["let in", "refused", "refused"]
    assert [door.knock(OTHER) for _ in range(3)] == ["let in"] * 3
    next(each for each in door.admission.connections if each.peer.address == b"192.0.2.1").close()
    assert door.knock() == "let in"


def test_what_is_opened_by_a_worker_that_leaves_is_left_unread_for_its_heirs(at_end: ExitStack) -> None:
    client, ours = (at_end.enter_context(end) for end in socket.socketpair())
    client.send(b"HGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    door = Door(Capacity(), at_end, after_a_byte)
    door.admission.drain((b"https",))
    door.admission.accept(ours, ADDRESS, to_read=True)
    (opening,) = door.admission.openings
    opening.on_ready(READABLE)
    assert len(door.admission.connections) == 1
    assert ours.recv(4, socket.MSG_DONTWAIT) == b"GET "


def after_a_byte(_peer: Peer, _sock: socket.SocketType) -> list[Step]:
    return [lambda sock: sock if sock.recv(1) else READABLE]


def speak_tls(peer: Peer, _sock: socket.SocketType) -> list[Step]:
    """Return no step, of a client whose handshake is over."""
    peer.scheme = b"https"
    return []


@pytest.mark.parametrize(("drained", "waiting_for"), [(b"http", Waiting.REQUEST), (b"https", Waiting.LAST)])
def test_of_the_schemes_that_are_drained_also_those_end_that_come_later(
    at_end: ExitStack, drained: bytes, waiting_for: Waiting
) -> None:
    door = Door(Capacity(), at_end, speak_tls)
    assert door.knock() == "let in"
    door.admission.drain((drained,))
    assert door.knock() == "let in"
    assert [each.waiting_for for each in door.admission.connections] == [waiting_for] * 2


def test_what_was_begun_in_another_worker_goes_on_and_counts(at_end: ExitStack) -> None:
    before, after = Door(Capacity(), at_end), Door(Capacity(), at_end)
    client, ours = (at_end.enter_context(end) for end in socket.socketpair())
    client.send(b"GET / HT")
    before.admission.accept(ours, ADDRESS, to_read=True)
    (connection,) = before.admission.connections
    after.admission.adopt(ours, connection.leave())
    (connection,) = after.admission.connections
    assert (connection.peer.address, connection.waiting_for) == (b"192.0.2.1", Waiting.HEAD)
    client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    connection.on_readable(READABLE)
    assert client.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("error", "reasons"),
    [
        (TimeoutError("too late"), {(GIVEN_UP, "too late"): 1}),
        (ConnectionAbortedError(), {}),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), {}),
    ],
)
def test_of_those_that_are_given_up_it_is_told_for_whom_the_peer_is_to_blame(
    at_end: ExitStack, error: OSError, reasons: dict[tuple[int, str], int]
) -> None:
    door = Door(Capacity(), at_end, never_done)
    door.knock()
    next(iter(door.admission.openings)).give_up(error)
    assert door.service.refused == reasons


def never_done(_peer: Peer, _sock: socket.SocketType) -> list[Step]:
    return [lambda _sock: READABLE]


def told_to_be_other(peer: Peer, _sock: socket.SocketType) -> list[Step]:
    """Return the step of a proxy's header, which tells another address."""

    def step(sock: socket.SocketType) -> socket.SocketType:
        peer.address = b"192.0.2.2"
        return sock

    return [step]


def test_who_is_being_opened_counts_too_and_beyond_the_limit_is_closed_untold(at_end: ExitStack) -> None:
    door = Door(Capacity(per_client=2), at_end, never_done)
    assert [door.knock() for _ in range(3)] == ["let in", "let in", "closed"]
    assert door.service.refused == {(GIVEN_UP, CROWDING): 1}
    assert door.knock(OTHER) == "let in"
    next(each for each in door.admission.openings if each.peer.address == b"192.0.2.1").give_up(TimeoutError())
    assert [door.knock() for _ in range(2)] == ["let in", "closed"]


def test_the_log_tells_of_how_many_it_is_full_those_that_are_being_opened_among_them(
    at_end: ExitStack, capfd: pytest.CaptureFixture[str]
) -> None:
    door = Door(Capacity(connections=2), at_end, never_done)
    log = Log("worker-0", "info")
    door.admission.tell_full(log)
    for _ in range(2):
        assert capfd.readouterr().err == ""
        assert door.knock() == "let in"
        door.admission.tell_full(log)
    door.admission.tell_full(log)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(" full: new connections wait connections=2 opening=2 key=max_connections")
    next(iter(door.admission.openings)).give_up(TimeoutError())
    door.admission.tell_full(log)
    door.admission.tell_full(log)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(" no longer full connections=1 opening=1 key=max_connections")


def test_the_log_tells_of_how_many_it_is_full_without_any_that_are_being_opened(
    at_end: ExitStack, capfd: pytest.CaptureFixture[str]
) -> None:
    door = Door(Capacity(connections=2), at_end)
    assert [door.knock() for _ in range(2)] == ["let in"] * 2
    door.admission.tell_full(Log("worker-0", "info"))
    assert capfd.readouterr().err.endswith(" connections=2 opening=0 key=max_connections\n")


def test_beyond_the_limit_so_many_are_opened_to_be_told_and_the_others_closed(at_end: ExitStack) -> None:
    door = Door(Capacity(connections=2, wait=False), at_end, never_done)
    assert [door.knock() for _ in range(MOST_REFUSED + 3)] == ["let in"] * (MOST_REFUSED + 2) + ["closed"]
    next(iter(door.admission.openings)).give_up(TimeoutError())
    assert [door.knock() for _ in range(2)] == ["let in", "closed"]


def test_what_a_proxy_tells_in_its_header_is_counted_from_then_on(at_end: ExitStack) -> None:
    is_proxy = b"192.0.2.1".__eq__
    door = Door(Capacity(per_client=1, is_proxy=is_proxy), at_end, told_to_be_other, never_done)
    assert [door.knock() for _ in range(3)] == ["let in"] * 3
    door.loop.now += 5
    for opening in list(door.admission.openings):
        opening.on_ready(READABLE)
    assert [each.peer.address for each in door.admission.openings] == [b"192.0.2.2"]
    door.admission.expire(6)
    assert len(door.admission.openings) == 1
    door.loop.now += 2  # from the beginning on, not from the header
    door.admission.expire(6)
    assert door.admission.openings._counts == {}


def test_of_many_that_are_refused_so_many_are_told_and_the_others_closed_until_those_have_read(
    at_end: ExitStack,
) -> None:
    door = Door(Capacity(connections=1, wait=False), at_end)
    assert [door.knock() for _ in range(MOST_REFUSED + 2)] == ["let in", *["refused"] * MOST_REFUSED, "closed"]
    next(iter(door.admission.refused)).close()
    assert door.knock() == "refused"


def test_whoever_is_there_is_cut_and_only_who_was_refused_is_not_counted(at_end: ExitStack) -> None:
    served, opened = Door(Capacity(connections=1, wait=False), at_end), Door(Capacity(), at_end, never_done)
    assert [served.knock(), served.knock(), opened.knock()] == ["let in", "refused", "let in"]
    refusing = Door(Capacity(connections=0, wait=False), at_end)
    assert (refusing.knock(), refusing.admission.is_empty, refusing.admission.cut()) == ("refused", False, 0)
    assert refusing.admission.is_empty
    for door in (served, opened):
        assert (door.admission.is_empty, door.admission.cut()) == (False, 1)
        assert door.admission.is_empty
        assert not any(door.loop._handlers)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (("127.0.0.1", 8080), b"127.0.0.1"),
        (("::1", 8080, 0, 0), b"::1"),
        (("::ffff:192.0.2.1", 8080, 0, 0), b"192.0.2.1"),
        (("::ffff:1", 8080, 0, 0), b"::ffff:1"),
        ("", b"unix:"),
        (b"", b"unix:"),
    ],
)
def test_a_peer_is_named_by_its_ip_address(address: object, name: bytes) -> None:
    assert peer_name(address) == name
