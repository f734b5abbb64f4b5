"""One connection over a real socket, in each way in which a client can behave.

Whatever it does: afterwards the connection is gone, its descriptor is closed, and the loop watches nothing of it.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from prefork.http.forwarded import Forwarding
from prefork.http.messages import Limits, Peer, Rejection, Request, Response
from prefork.http.protocol import Protocol
from prefork.http.response import CONTINUE
from prefork.http.service import Respond, Service
from prefork.http.trust import NOBODY
from prefork.http.waiting import Waiting
from prefork.worker.connection import Connection, Moved, Writing
from prefork.worker.lines import Lines
from prefork.worker.loop import READABLE, WRITABLE, Loop
from prefork.worker.observing import Observer, Watch
from prefork.worker.sending import untaken

PEER = Peer(b"127.0.0.1")

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
LARGE = b"x" * 1_000_000


class Answers:
    """Notes what is answered."""

    def __init__(self, answered: list[Request | None]) -> None:
        self._answered = answered

    def answered(self, head: bytes, request: Request | None, status: int, **_sizes: int) -> None:
        self._answered.append(request)

    def grew(self, **_sizes: int) -> None: ...

    def ended(self) -> None: ...


class NoRoom:
    """Keeps no content."""

    def write(self, data: bytes) -> None:
        raise Rejection(507, "no room")

    def kept(self) -> bytes | None: ...

    def close(self) -> None: ...


class Server:
    """A loop with one connection, and the client at its other end."""

    def __init__(
        self, body: bytes = b"Hello", *, tcp: bool = False, respond: Respond | None = None, begun: bool = True
    ) -> None:
        self.loop = Loop()
        self.socket, self.client = tcp_pair() if tcp else socket.socketpair()
        self.socket.settimeout(0)
        self.client.settimeout(5)
        response = Response(200, (), body)
        self.service = Service(respond or (lambda _request, _peer, _content: response), Limits())
        self.answered: list[Request | None] = []
        self.connections: set[Connection] = set()
        protocol = Protocol(self.service, PEER, Answers(self.answered))
        self.connection = Connection(self.socket, PEER, protocol, self.loop, self.connections)
        if begun:
            self.connection.begin(to_read=False)

    def turn(self, count: int = 1) -> None:
        """Handle what is there, without waiting."""
        for _ in range(count):
            self.loop.running = True
            self.loop.after_turn[:] = [lambda: setattr(self.loop, "running", False)]
            for moment in (self.loop.now, self.loop.now + 3600):
                self.loop.call_at(moment, lambda: None)
            self.loop.run()

    def ask(self, count: int = 1) -> None:
        """Have the client send a request, and handle it as far as so many turns go."""
        self.client.send(GET)
        self.turn(count)

    def receive_all(self) -> bytes:
        """Read as the client until the end, while the server goes on."""
        received = b""
        while True:
            self.turn()
            more = self.client.recv(1 << 20)
            if not more:
                return received
            received += more

    def fill(self) -> int:
        """Send as much as the socket takes; return how much that was."""
        sent = 0
        try:
            while True:
                sent += self.socket.send(b"." * 4096)
        except BlockingIOError:
            return sent

    def take(self, filled: int) -> None:
        """Have the client take what filled the socket, while the loop turns."""
        while filled:
            filled -= len(self.client.recv(min(filled, 1 << 16)))
            self.turn()
        self.turn(3)

    def move(self) -> None:
        """Have the connection go on as in another process."""
        moved = msgpack.encode(self.connection.leave())
        copy = self.socket.dup()
        copy.settimeout(0)
        self.connection.forget()
        self.socket = copy
        self.connection = Connection(
            copy, PEER, Protocol(self.service, Peer(b"127.0.0.1")), self.loop, self.connections
        )
        self.connection.resume(msgpack.decode(moved, type=Moved))

    def waits_for(self) -> Waiting | Writing:
        return self.connection.waiting_for

    @property
    def is_gone(self) -> bool:
        return not self.connections and self.socket.fileno() == -1 and not any(self.loop._handlers)

    def close(self) -> None:
        self.loop.close()
        self.socket.close()
        self.client.close()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return listener.accept()[0], client


def reset(client: socket.socket) -> None:
    """Close with a RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def large() -> Iterator[Server]:
    server = Server(LARGE)
    yield server
    server.close()


@pytest.fixture
def tcp() -> Iterator[Server]:
    server = Server(tcp=True)
    yield server
    server.close()


# Beginning


@pytest.fixture
def fresh() -> Iterator[Server]:
    server = Server(begun=False)
    yield server
    server.close()


def test_a_last_request_that_has_come_is_answered_before_the_loop_knows_the_connection(fresh: Server) -> None:
    fresh.client.send(CLOSING)
    fresh.connection.begin(to_read=True)
    assert fresh.receive_all().endswith(b"\r\n\r\nHello")
    assert fresh.is_gone
    assert fresh.loop._handlers == []


@pytest.mark.parametrize(
    ("come", "answered", "waiting_for"),
    [(b"", 0, Waiting.REQUEST), (GET[:9], 0, Waiting.HEAD), (GET, 1, Waiting.REQUEST), (GET * 2, 2, Waiting.REQUEST)],
)
def test_whatever_has_come_the_loop_tells_of_the_rest(
    fresh: Server, come: bytes, answered: int, waiting_for: Waiting
) -> None:
    fresh.client.send(come)
    fresh.connection.begin(to_read=True)
    assert fresh.waits_for() is waiting_for
    fresh.client.send(GET.removeprefix(come) if waiting_for is Waiting.HEAD else GET)
    fresh.turn()
    assert fresh.client.recv(4096).count(b"Hello") == answered + 1


# Serving


def test_a_request_is_answered_and_the_next_waited_for(server: Server) -> None:
    for _ in range(3):
        server.ask()
        assert server.client.recv(4096).endswith(b"\r\n\r\nHello")
    assert server.waits_for() is Waiting.REQUEST


def test_a_request_in_pieces_is_answered_when_it_is_whole(server: Server) -> None:
    for piece in GET[:7], GET[7:20], GET[20:]:
        server.client.send(piece)
        server.turn()
    assert server.client.recv(4096).endswith(b"Hello")


def test_a_wake_without_anything_to_read_does_nothing(server: Server) -> None:
    server.connection.on_readable(READABLE)
    assert server.waits_for() is Waiting.REQUEST


def test_the_time_of_a_body_begins_when_it_is_asked_for_whatever_came_before(server: Server) -> None:
    server.connection.begun, server.connection.progress = 0.0, 7
    server.client.send(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    server.turn()
    assert server.client.recv(4096) == CONTINUE
    assert server.waits_for() is Waiting.BODY
    assert (server.connection.begun, server.connection.progress) == (server.connection.since, 0)


# Clients that leave


@pytest.mark.parametrize(
    "sent", [b"", GET[:10], POST, POST + b"He", GET, GET * 2, GET + GET[:10], CLOSING, b"\x16\x03"]
)
def test_of_a_client_that_sends_something_and_closes_nothing_is_left(server: Server, sent: bytes) -> None:
    server.client.send(sent)
    server.client.close()
    server.turn(3)
    assert server.is_gone


@pytest.mark.parametrize("sent", [b"", GET[:10], POST, GET, GET * 2, CLOSING, b"\x16\x03"])
@pytest.mark.parametrize("turns", [0, 1])
def test_of_a_client_that_resets_the_connection_nothing_is_left(tcp: Server, sent: bytes, turns: int) -> None:
    tcp.client.send(sent)
    tcp.turn(turns)
    reset(tcp.client)
    tcp.turn(3)
    assert tcp.is_gone


@pytest.mark.parametrize(
    ("sent", "answers"), [(b"", 0), (GET[:10], 0), (GET, 1), (GET * 3, 3), (CLOSING, 1), (POST + b"Hello", 1)]
)
def test_a_client_that_half_closes_still_gets_its_answers(server: Server, sent: bytes, answers: int) -> None:
    server.client.send(sent)
    server.client.shutdown(socket.SHUT_WR)
    server.turn(3)
    assert server.is_gone
    assert server.receive_all().count(b"HTTP/1.1 200") == answers


def test_a_client_that_closes_without_reading_its_answer_is_noticed(server: Server) -> None:
    server.ask()
    server.client.close()
    server.turn()
    assert server.is_gone


# Answers that don't fit


def test_a_large_answer_is_sent_on_as_the_client_reads(large: Server) -> None:
    large.ask()
    assert large.waits_for() is Writing.ANSWER
    received = b""
    while len(received) < len(LARGE):
        received += large.client.recv(1 << 16)
        large.turn()
    assert received.endswith(b"\r\n\r\n" + LARGE)
    assert large.waits_for() is Waiting.REQUEST


def test_while_an_answer_waits_nothing_more_is_read(large: Server) -> None:
    large.ask()
    large.ask(5)
    assert len(large.answered) == 1
    large.client.shutdown(socket.SHUT_WR)
    assert large.receive_all().count(b"HTTP/1.1 200") == 2
    assert large.is_gone


def test_a_large_last_answer_is_whole_before_the_connection_ends(large: Server) -> None:
    large.client.send(CLOSING)
    assert large.receive_all().endswith(LARGE)
    assert large.is_gone


def test_an_answer_waits_whole_when_the_socket_is_full(server: Server) -> None:
    filled = server.fill()
    server.ask()
    assert server.waits_for() is Writing.ANSWER
    server.connection.since = 0.0
    server.connection.on_writable(WRITABLE)  # still full
    assert server.connection.since == 0.0
    server.client.shutdown(socket.SHUT_WR)
    assert server.receive_all()[filled:].startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_leaves_while_its_answer_waits_is_noticed(large: Server) -> None:
    large.ask()
    large.client.close()
    large.turn()
    assert large.is_gone


def test_a_slow_reader_has_waited_since_it_took_something_last(large: Server) -> None:
    large.ask()
    large.connection.since = 0.0
    large.turn()
    assert large.connection.since == 0.0
    large.client.recv(1 << 20)
    large.turn()
    assert large.connection.since == large.loop.now


def test_how_much_of_an_answer_is_taken_since_when_is_known(large: Server) -> None:
    connection = large.connection
    connection.begun, connection.progress = 0.0, -1000
    large.ask()
    began, before, size = connection.begun, connection.progress, connection.progress + len(connection._unsent)
    assert (began, size > len(LARGE)) == (large.loop.now, True)
    large.client.recv(1 << 20)
    large.turn()
    assert (connection.begun, large.loop.now > began) == (began, True)
    assert before < connection.progress == size - len(connection._unsent)


def test_who_takes_enough_of_what_the_kernel_has_waits_from_then_on() -> None:
    server = Server(LARGE * 10, tcp=True)
    server.ask()
    connection = server.connection
    connection.since = 50.0
    left = untaken(server.socket)
    for moment in (100.0, 101.0):  # nothing is taken
        connection.look(moment, 0.0)
        assert connection.since == 50.0
    while untaken(server.socket) == left:
        server.client.recv(1 << 16)
    connection.look(102.0, left)  # less than that a second
    assert connection.since == 50.0
    connection.look(103.0, 0.01)
    assert connection.since == 103.0
    connection.look(104.0, 0.0)
    assert connection.since == 103.0
    server.close()


@pytest.mark.parametrize(("next_one", "has_begun"), [(b"", False), (GET[:10], True), (POST + b"He", True)])
def test_the_time_of_a_request_begins_with_it_and_not_with_the_end_of_an_answer(
    large: Server, next_one: bytes, *, has_begun: bool
) -> None:
    watch = Watch(None, Lines("common", b""), Forwarding(NOBODY), large.loop, show_heads=False)
    observer = large.connection._observer = large.connection._protocol._observer = Observer(watch, PEER)
    large.client.send(GET + next_one)
    large.turn()
    assert observer.began == 0.0
    size = large.connection.progress + len(large.connection._unsent)
    large.take(size)
    assert large.waits_for() is not Writing.ANSWER
    assert (observer.began > 0.0) is has_begun


# Time


def test_an_idle_connection_is_closed_without_a_word_when_its_time_is_up(server: Server) -> None:
    server.connection.expire()
    assert server.is_gone
    assert server.client.recv(1) == b""


@pytest.mark.parametrize("sent", [GET[:10], POST, POST + b"He"])
def test_a_client_in_the_middle_of_a_request_is_told_that_its_time_is_up(server: Server, sent: bytes) -> None:
    server.client.send(sent)
    server.turn()
    server.connection.expire()
    assert server.waits_for() is Writing.LINGERING
    assert server.receive_all().startswith(b"HTTP/1.1 408 ")


def test_a_client_that_has_left_is_not_told(server: Server) -> None:
    server.client.send(GET[:10])
    server.turn()
    server.client.close()
    server.connection.expire()
    assert server.is_gone


def test_who_does_not_take_its_answer_is_cut_off(large: Server) -> None:
    large.ask()
    large.connection.expire()
    assert large.is_gone


def test_in_the_middle_of_an_answer_nobody_is_told_that_the_next_request_is_late(large: Server) -> None:
    large.client.send(GET + GET[:10])
    large.turn()
    received = large.client.recv(1 << 20)
    large.connection.expire()
    assert large.is_gone
    while more := large.client.recv(1 << 20):
        received += more
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.strip(b"x").endswith(b"\r\n\r\n")


def test_nobody_is_told_to_be_late_whose_requests_were_read(server: Server) -> None:
    count = server.service.limits.pipelined
    server.client.send(GET * (count + 3))
    server.turn()
    server.connection.expire()
    assert server.is_gone
    assert re.findall(rb"HTTP/1.1 (\d+)", server.client.recv(1 << 20)) == [b"200"] * count


@pytest.mark.parametrize("before", [b"", GET, GET * 2])
def test_the_time_of_a_head_runs_from_its_first_byte(server: Server, before: bytes) -> None:
    server.client.send(before + GET[:5])
    server.turn()
    first = server.connection.since = server.connection.since - 1
    server.client.send(GET[5:10])
    server.turn()
    assert server.connection.since == first


def test_the_time_of_a_head_begins_with_its_first_byte_whatever_came_before(server: Server) -> None:
    for _ in range(2):
        server.connection.since = server.connection.begun = 0.0
        server.client.send(GET[:5])
        server.turn()
        assert server.connection.since == server.connection.begun == server.loop.now
        server.client.send(GET[5:])
        server.turn()
        assert server.client.recv(4096).endswith(b"Hello")


def test_the_time_of_a_body_runs_from_its_latest_byte_and_all_of_it_counts(server: Server) -> None:
    server.connection.progress = 7
    server.client.send(POST)
    server.turn()
    began = server.connection.begun
    for number, byte in enumerate((b"H", b"e"), 1):
        server.connection.since = 0.0
        server.client.send(byte)
        server.turn()
        assert server.connection.since == server.loop.now
        assert (server.connection.begun, server.connection.progress) == (began, number)


def test_the_time_of_a_body_runs_anew_after_its_head(server: Server) -> None:
    server.client.send(POST[:5])
    server.turn()
    server.connection.since = 0.0
    server.client.send(POST[5:])
    server.turn()
    assert (server.connection.since, server.waits_for()) == (server.loop.now, Waiting.BODY)


# Leaving


def test_a_drained_connection_ends_with_its_next_answer(server: Server) -> None:
    server.connection.drain()
    assert server.waits_for() is Waiting.LAST
    server.ask()
    assert b"\r\nConnection: close\r\n" in server.receive_all()
    assert server.waits_for() is Writing.LINGERING


def test_an_idle_connection_is_closed_where_nobody_comes_after(server: Server) -> None:
    server.connection.drain()
    server.connection.close_idle()
    assert server.waits_for() is Writing.LINGERING
    assert server.client.recv(1) == b""


def test_a_request_that_has_arrived_unseen_is_answered_before_the_close(server: Server) -> None:
    server.client.send(GET)
    server.connection.drain()
    server.connection.close_idle()
    assert b"\r\nConnection: close\r\n" in server.receive_all()


def test_a_request_that_has_begun_is_waited_for(server: Server) -> None:
    server.client.send(GET[:10])
    server.connection.drain()
    server.connection.close_idle()
    assert server.waits_for() is Waiting.HEAD
    server.client.send(GET[10:])
    server.turn()
    assert server.receive_all().endswith(b"Hello")


def test_an_idle_connection_whose_client_has_left_is_only_closed(server: Server) -> None:
    server.client.close()
    server.connection.drain()
    server.connection.close_idle()
    assert server.is_gone


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", POST])
def test_who_is_in_the_middle_of_something_is_not_idle(server: Server, sent: bytes) -> None:
    server.client.send(sent)
    server.turn()
    before = server.waits_for()
    server.connection.drain()
    assert not server.connection.is_idle
    assert server.waits_for() is before


# Moving


@pytest.mark.parametrize(
    ("sent", "waiting"), [(b"", Waiting.REQUEST), (GET[:10], Waiting.HEAD), (POST + b"He", Waiting.BODY)]
)
def test_a_connection_goes_on_in_another_process_for_as_long_as_it_may_wait(
    server: Server, sent: bytes, waiting: Waiting
) -> None:
    server.client.send(sent)
    server.turn()
    server.connection.since = since = 17.0
    assert server.connection.can_move
    server.move()
    assert (server.waits_for(), server.connection.since) == (waiting, since)


def test_the_time_of_a_head_goes_on_in_another_process(server: Server) -> None:
    server.client.send(GET[:10])
    server.turn()
    server.connection.since = since = 17.0
    server.move()
    server.client.send(GET[10:15])
    server.turn()
    assert (server.waits_for(), server.connection.since) == (Waiting.HEAD, since)


def test_data_that_arrives_on_the_way_is_read_where_the_connection_goes(server: Server) -> None:
    server.client.send(GET[:10])
    server.turn()
    server.client.send(GET[10:])
    server.move()
    server.turn()
    assert server.client.recv(4096).endswith(b"Hello")


def test_of_a_connection_that_has_moved_nothing_is_left(server: Server) -> None:
    copy = server.socket.dup()
    server.connection.forget()
    assert server.is_gone
    copy.close()


def test_a_connection_moves_with_the_rest_of_its_answer_and_since_when_it_waits(large: Server) -> None:
    large.ask()
    received = b""
    while not large.connection.can_move:  # too much is left yet
        received += large.client.recv(1 << 16)
        large.turn()
    large.connection.since = since = 17.0
    large.move()
    assert (large.waits_for(), large.connection.since) == (Writing.ANSWER, since)
    while len(received) < len(LARGE):
        received += large.client.recv(1 << 16)
        large.turn()
    assert received.endswith(b"\r\n\r\n" + LARGE)
    assert large.waits_for() is Waiting.REQUEST


@pytest.mark.parametrize("before", [b"", GET])
def test_content_that_finds_no_room_where_it_goes_on_is_told_there(server: Server, before: bytes) -> None:
    server.client.send(before + POST + b"Hell")
    server.turn()
    server.service.new_content = NoRoom
    server.move()
    received = server.receive_all()
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [*[b"200"] * (len(before) > 0), b"507"]
    assert received.endswith(b"\r\n\r\nno room\n")


@pytest.mark.parametrize(("rest", "waiting"), [(b"", None), (GET, Writing.LINGERING)])
def test_a_last_answer_that_moves_is_followed_by_the_end(server: Server, rest: bytes, waiting: Writing | None) -> None:
    filled = server.fill()
    server.client.send(CLOSING + rest)
    server.turn()
    server.move()
    while filled:
        filled -= len(server.client.recv(filled))
    assert server.receive_all().endswith(b"Hello")
    assert server.is_gone if waiting is None else server.waits_for() is waiting


def test_requests_that_were_read_and_not_answered_are_answered_where_the_connection_goes(server: Server) -> None:
    count = server.service.limits.pipelined + 3
    server.client.send(GET * count)
    server.turn()
    assert len(server.answered) == server.service.limits.pipelined
    server.move()
    server.turn()
    assert server.client.recv(1 << 20).count(b"Hello") == count
    assert server.waits_for() is Waiting.REQUEST


def test_a_connection_does_not_move_after_its_last_answer(server: Server) -> None:
    server.client.send(b"nonsense\r\n\r\n")
    server.turn()
    assert not server.connection.can_move


@given(cuts=st.lists(st.integers(1, 300), max_size=20), reads=st.lists(st.integers(500, 9000), min_size=1, max_size=20))
@settings(deadline=None)
def test_a_connection_that_moves_after_every_turn_sends_what_it_would_have_sent(
    cuts: list[int], reads: list[int]
) -> None:
    """Nothing is sent twice, and nothing is lost of what was received or is still to be sent."""
    server = Server(b"x" * 6000)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least that the kernel allows, socket(7)
    stream = (GET + POST + b"Hello") * 5 + CLOSING
    received, moves = b"", 0
    while not server.is_gone:
        piece, stream = stream[: cuts[0] if cuts else None], stream[cuts.pop(0) if cuts else len(stream) :]
        server.client.send(piece)
        server.turn()
        if server.connections and server.connection.can_move:
            server.move()
            moves += 1
        server.client.settimeout(0)
        with suppress(BlockingIOError):
            received += server.client.recv(reads[moves % len(reads)])
    server.client.settimeout(5)
    received += server.receive_all()
    answers = received.split(b"x" * 6000)
    assert answers.pop() == b""
    assert [answer.startswith(b"HTTP/1.1 200 OK\r\n") for answer in answers] == [True] * 11
    assert moves > 0
    server.close()
