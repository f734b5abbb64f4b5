"""Answers that come piece by piece, from a file or later, over a real socket to clients of every kind.

What holds for all of them: the client gets all of it or a reset, never less with a goodbye; what the application gave
is closed once; and no more is made than the client takes.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.http.answers import Answer, AnswerHead, File, Pending, Stream, Truncated, Whole
from prefork.http.content import Content
from prefork.http.messages import Peer, Request
from prefork.http.protocol import HIGH_WATER, Protocol
from prefork.http.waiting import Waiting
from prefork.worker import connection
from prefork.worker.connection import Connection, Writing
from prefork.worker.loop import READABLE, WRITABLE
from prefork.worker.sending import MOST_AT_ONCE
from tests.unit.worker.test_connection import CLOSING, GET, PEER, Server, reset, tcp_pair

BLOCK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
PIECE = b"x" * 10_000


class Application:
    """Answers each request with what it is told to, and counts what is asked of it."""

    def __init__(self, *pieces: bytes | Truncated, length: int | None = None, file: File | None = None) -> None:
        self.pieces = list(pieces)
        self.length = length
        self.file = file
        self.pulled = self.closed = 0
        self.pending: list[Pending] = []
        self.later: list[Answer | str] = []

    def __call__(self, _request: Request, _peer: Peer, _content: Content | None) -> Answer:
        if self.later:
            self.pending.append(Pending())
            return self.pending[-1]
        return self.stream()

    def stream(self) -> Stream:
        pieces = iter(self.pieces)

        def pull() -> bytes | None:
            self.pulled += 1
            piece = next(pieces, None)
            if isinstance(piece, Truncated):
                raise piece
            return piece

        block = BLOCK if self.length is None else BLOCK + LENGTH % self.length
        return Stream(AnswerHead(200, block, self.length), pull, self._close, self.file)

    def stepwise(self) -> Stream:
        """Return a stream each piece of which is asked for by a Pending."""

        def pull() -> Pending:
            self.pending.append(Pending())
            return self.pending[-1]

        return Stream(AnswerHead(200, BLOCK), pull, self._close)

    def _close(self) -> None:
        self.closed += 1


SERVERS: list[Server] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    """Close at the end what the test has served with."""
    yield
    while SERVERS:
        SERVERS.pop().close()


def serve(application: Application, *, tcp: bool = False) -> Server:
    SERVERS.append(Server(tcp=tcp, respond=application))
    return SERVERS[-1]


def unchunked(content: bytes) -> bytes:
    """Return what was sent in chunks, which must be whole."""
    content = content.partition(b"\r\n\r\n")[2]
    whole = b""
    while True:
        size, _, content = content.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert content == b"\r\n"
            return whole
        assert content[length : length + 2] == b"\r\n"
        whole, content = whole + content[:length], content[length + 2 :]


def chunks_received(server: Server) -> bytes:
    """Read an answer in chunks to its end."""
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        received += server.client.recv(1 << 20)
        server.turn()
    return unchunked(received)


@pytest.fixture
def large(tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    """Return the descriptor of a file, and what is in it: more than the kernel takes at once."""
    path = tmp_path / "large"
    content = os.urandom(3_000_000)
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    yield fd, content
    os.close(fd)


# Pieces


def test_pieces_come_in_chunks_and_the_next_request_is_answered() -> None:
    application = Application(b"one", b"two")
    server = serve(application)
    for _ in range(3):
        server.ask(3)
        answer = server.client.recv(4096)
        assert answer == BLOCK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        assert server.waits_for() is Waiting.REQUEST
    assert application.closed == 3


def test_a_client_that_reads_slowly_gets_all_and_no_more_is_made_than_it_takes() -> None:
    application = Application(*[PIECE] * 300)
    server = serve(application)
    server.ask(50)
    assert server.waits_for() is Writing.ANSWER
    assert application.pulled < 100  # what a socket takes, and a turn's share
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        received += server.client.recv(5000)
        server.turn()
    assert unchunked(received) == PIECE * 300
    assert application.closed == 1


def test_the_time_of_a_piece_begins_when_the_first_of_it_is_sent() -> None:
    server = serve(Application(b"one", b"x" * 1_000_000))
    connection = server.connection
    connection.begun, connection.progress = 0.0, -1000
    server.ask(3)
    began, before, size = connection.begun, connection.progress, connection.progress + len(connection._unsent)
    assert (began > 0, before > 0, size >= 1_000_000) == (True, True, True)
    server.client.recv(1 << 20)
    server.turn()
    assert (connection.begun, server.loop.now > began) == (began, True)
    assert before < connection.progress == size - len(connection._unsent)


def test_a_turn_gives_one_client_its_share_only() -> None:
    application = Application(*[b"x" * 1000] * 10_000)
    server = serve(application, tcp=True)
    server.ask()
    assert 1 < application.pulled <= HIGH_WATER / 1000 + 2


def test_an_application_that_makes_pieces_slowly_gives_one_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    application = Application(*[b"x"] * 10)
    server = serve(application)
    monkeypatch.setattr(connection, "LONGEST_TURN", -1.0)
    server.client.send(GET)
    for pulled in range(2, 6):  # the first comes with the head
        server.turn()
        assert application.pulled == pulled


@pytest.mark.parametrize("leave", [reset, socket.socket.close])
def test_of_a_client_that_leaves_in_the_middle_nothing_is_left(leave) -> None:  # type: ignore[no-untyped-def]  # either kind
    application = Application(*[PIECE] * 300)
    server = serve(application, tcp=True)
    server.ask(3)
    leave(server.client)
    while server.connections:
        server.turn()
    assert server.is_gone
    assert application.closed == 1
    assert application.pulled < 300


def received_until_reset(server: Server) -> bytes:
    """Read all that comes before a reset, which must come."""
    received = b""
    while True:
        server.turn()
        try:
            more = server.client.recv(1 << 20)
        except ConnectionResetError:
            return received
        assert more, "it ended as if it were whole"
        received += more


@pytest.mark.parametrize("request_head", [GET, CLOSING, OLD])
@pytest.mark.parametrize("length", [None, 100])
def test_what_can_not_be_finished_is_cut_by_a_reset(request_head: bytes, length: int | None) -> None:
    application = Application(b"one", Truncated(), length=length)
    server = serve(application, tcp=True)
    server.client.send(request_head)
    server.turn(3)
    received_until_reset(server)
    assert (server.is_gone, application.closed) == (True, 1)


@pytest.mark.parametrize("request_head", [GET, OLD])
def test_a_stream_that_is_not_taken_in_time_is_cut_by_a_reset(request_head: bytes) -> None:
    application = Application(*[PIECE] * 1000)
    server = serve(application, tcp=True)
    server.client.send(request_head)
    server.turn(1000)
    assert server.waits_for() is Writing.ANSWER
    server.connection.expire()
    received_until_reset(server)
    assert (server.is_gone, application.closed) == (True, 1)


def test_what_is_unsent_of_a_stream_that_has_ended_is_not_taken_for_all() -> None:
    application = Application(b"x" * 20_000_000)
    server = serve(application, tcp=True)
    server.client.send(OLD)
    server.turn(5)
    assert server.waits_for() is Writing.ANSWER
    server.connection.expire()
    received_until_reset(server)


def test_pipelined_streams_come_one_after_the_other() -> None:
    application = Application(b"one", b"two", length=6)
    server = serve(application)
    server.client.send(GET * 5 + CLOSING)
    assert server.receive_all().count(b"\r\n\r\nonetwo") == 6
    assert application.closed == 6


def test_a_connection_moves_when_its_stream_has_ended_and_not_before() -> None:
    application = Application(*[PIECE] * 20, b"end")
    server = serve(application, tcp=True)
    server.client.send(GET + GET[:10])
    could_move, received = [], b""
    while not received.endswith(b"0\r\n\r\n"):
        server.turn()
        could_move.append(server.connection.can_move)
        received += server.client.recv(1 << 20)
    assert could_move == sorted(could_move)
    assert {False, True} == set(could_move)
    server.move()
    server.client.send(GET[10:])
    server.turn(2)
    assert server.client.recv(1 << 20).startswith(BLOCK)


# Files


@pytest.mark.parametrize("tcp", [False, True])
def test_a_file_is_sent_whole_from_where_it_is_to_begin(large: tuple[int, bytes], *, tcp: bool) -> None:
    fd, content = large
    length = len(content) - 1000
    application = Application(length=length, file=File(fd, 1000, length))
    server = serve(application, tcp=tcp)
    server.client.send(CLOSING)
    received = server.receive_all().partition(b"\r\n\r\n")[2]
    assert received == content[1000:]
    assert application.closed == 1


def test_a_file_goes_on_to_a_client_that_takes_little_at_a_time(large: tuple[int, bytes]) -> None:
    fd, content = large
    application = Application(length=100_000, file=File(fd, 0, 100_000))
    server = serve(application)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    server.client.send(CLOSING)
    assert server.receive_all().endswith(content[:100_000])


def test_a_large_file_leaves_the_turn_to_others(large: tuple[int, bytes]) -> None:
    fd, content = large
    application = Application(length=len(content), file=File(fd, 0, len(content)))
    server = serve(application, tcp=True)
    server.ask()
    assert application.file is not None
    assert application.file.offset <= MOST_AT_ONCE
    assert server.waits_for() is Writing.ANSWER
    assert not server.connection.can_move


def test_a_wake_while_nothing_more_of_a_file_is_taken_does_nothing(large: tuple[int, bytes]) -> None:
    fd, content = large
    application = Application(length=len(content), file=File(fd, 0, len(content)))
    server = serve(application)
    server.client.send(CLOSING)
    server.turn()
    for _ in range(100):
        server.connection.on_writable(WRITABLE)
    assert server.waits_for() is Writing.ANSWER
    assert server.receive_all().endswith(content)


def test_a_file_that_is_shorter_than_was_said_is_cut_by_a_reset(large: tuple[int, bytes]) -> None:
    fd, content = large
    length = len(content) + 1
    application = Application(length=length, file=File(fd, 0, length))
    server = serve(application, tcp=True)
    server.client.send(GET)
    received_until_reset(server)
    assert (server.is_gone, application.closed) == (True, 1)


def test_a_file_that_can_not_be_read_is_cut_by_a_reset(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    application = Application(length=5, file=File(fd, 0, 5))
    server = serve(application, tcp=True)
    server.client.send(GET)
    received_until_reset(server)
    assert (server.is_gone, application.closed) == (True, 1)
    os.close(fd)


def test_a_file_that_is_not_taken_in_time_is_cut_by_a_reset(large: tuple[int, bytes]) -> None:
    fd, content = large
    application = Application(length=len(content), file=File(fd, 0, len(content)))
    server = serve(application, tcp=True)
    server.ask(100)
    server.connection.expire()
    received_until_reset(server)
    assert (server.is_gone, application.closed) == (True, 1)


def test_the_time_of_a_file_begins_with_its_answer_however_long_the_connection_has_been_there(
    large: tuple[int, bytes],
) -> None:
    fd, content = large
    application = Application(length=len(content), file=File(fd, 0, len(content)))
    server = serve(application)
    server.connection.begun, server.connection.progress = 0.0, -len(content)
    server.ask()
    assert application.file is not None
    assert server.connection.begun == server.connection.since
    assert server.connection.progress > application.file.offset > 0


def test_an_empty_file_is_an_answer_too(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    fd = os.open(tmp_path / "empty", os.O_RDONLY)
    application = Application(length=0, file=File(fd, 0, 0))
    server = serve(application)
    server.ask(2)
    assert server.client.recv(4096) == BLOCK + LENGTH % 0 + b"\r\n"
    assert (server.waits_for(), application.closed) == (Waiting.REQUEST, 1)
    os.close(fd)


# Answers that come later


@pytest.fixture
def later() -> tuple[Application, Server]:
    application = Application(b"one", b"two", length=6)
    application.later = ["later"]
    return application, serve(application, tcp=True)


def test_an_answer_that_comes_later_is_sent_then_and_nothing_is_read_before(
    later: tuple[Application, Server],
) -> None:
    application, server = later
    server.connection.since = 0.0
    server.ask()
    assert server.connection.since == server.loop.now
    server.ask(3)
    assert (server.waits_for(), len(application.pending)) == (Waiting.APPLICATION, 1)
    application.pending[0].finish(Whole(AnswerHead(200, BLOCK), b"Hello"))
    assert server.client.recv(4096).endswith(b"Hello")
    server.turn()
    assert len(application.pending) == 2
    application.pending[1].finish(application.stream())
    server.turn(3)
    assert server.client.recv(4096).endswith(b"onetwo")
    assert server.waits_for() is Waiting.REQUEST


def test_a_client_that_resets_meanwhile_is_let_go_at_once_and_its_answer_closed(
    later: tuple[Application, Server],
) -> None:
    application, server = later
    server.ask()
    reset(server.client)
    server.turn()
    assert server.is_gone
    application.pending[0].finish(application.stream())
    assert application.closed == 1


def test_news_of_a_client_that_has_gone_does_not_end_the_request_of_the_next_one_with_its_descriptor(
    later: tuple[Application, Server],
) -> None:
    application, server = later
    server.ask(2)
    number = server.socket.fileno()
    ours, client = tcp_pair()
    notice, waker = socket.socketpair()

    def on_notice(_events: int) -> None:
        """Do in one turn what a thread's end and a new client lead to, before the news of the old client's reset."""
        server.loop.forget(notice.fileno())
        application.pending[0].finish(Whole(AnswerHead(200, BLOCK), b"Hello"))
        assert server.is_gone
        os.dup2(ours.fileno(), number, inheritable=False)
        server.socket, server.client = socket.socket(fileno=number), client
        server.socket.settimeout(0)
        server.connection = Connection(
            server.socket, PEER, Protocol(server.service, PEER), server.loop, server.connections
        )
        server.connection.begin(to_read=True)

    server.loop.watch(notice.fileno(), READABLE, on_notice)
    client.send(GET)
    waker.send(b"x")
    reset(server.client)
    server.turn()
    assert (server.waits_for(), len(application.pending)) == (Waiting.APPLICATION, 2)
    application.pending[1].finish(Whole(AnswerHead(200, BLOCK), b"Hello"))
    assert client.recv(4096).endswith(b"Hello")
    for each in ours, notice, waker:
        each.close()


def test_a_client_that_half_closes_meanwhile_gets_its_answer(later: tuple[Application, Server]) -> None:
    application, server = later
    server.ask()
    server.client.shutdown(socket.SHUT_WR)
    server.turn(3)
    application.pending[0].finish(application.stream())
    assert server.receive_all().endswith(b"onetwo")
    assert server.is_gone


def test_who_waits_too_long_for_the_application_is_told_and_the_answer_is_dropped(
    later: tuple[Application, Server],
) -> None:
    application, server = later
    server.ask()
    assert server.connection.occupying == "GET /"
    server.connection.expire()
    assert server.client.recv(4096).startswith(b"HTTP/1.1 503 ")
    application.pending[0].finish(application.stream())
    assert application.closed == 1
    assert (server.waits_for(), server.connection.occupying) == (Writing.LINGERING, "")


def test_a_request_that_no_thread_has_begun_occupies_none(later: tuple[Application, Server]) -> None:
    application, server = later
    server.ask()
    application.pending[0].has_begun = False
    assert server.connection.occupying == ""


def test_while_the_application_is_at_work_the_connection_stays_and_its_answer_is_the_last_when_draining(
    later: tuple[Application, Server],
) -> None:
    application, server = later
    server.ask()
    assert not server.connection.can_move
    server.connection.drain()
    assert not server.connection.is_idle
    application.pending[0].finish(Whole(AnswerHead(200, BLOCK), b"Hello"))
    assert b"Connection: close\r\n" in server.receive_all()


def test_pieces_that_come_later_are_sent_as_they_come(later: tuple[Application, Server]) -> None:
    application, server = later
    server.ask()
    application.pending[0].finish(application.stepwise())
    for piece in b"one", b"two", None:
        server.turn()
        application.pending[-1].finish(piece)
    assert chunks_received(server) == b"onetwo"
    assert application.closed == 1


def test_a_piece_that_is_not_made_yet_is_not_the_end_though_the_head_was_taken_late(
    later: tuple[Application, Server],
) -> None:
    application, server = later
    server.ask()
    filled = server.fill()
    application.pending[0].finish(application.stepwise())
    assert server.waits_for() is Writing.ANSWER
    server.take(filled)
    assert server.waits_for() is Waiting.APPLICATION
    application.pending[-1].finish(b"one")
    server.turn()
    application.pending[-1].finish(None)
    assert chunks_received(server) == b"one"


def test_a_piece_that_is_made_while_the_head_is_not_taken_is_sent_after_it(
    later: tuple[Application, Server],
) -> None:
    application, server = later
    server.ask()
    filled = server.fill()
    application.pending[0].finish(application.stepwise())
    application.pending[-1].finish(b"one")
    server.take(filled)
    application.pending[-1].finish(None)
    assert chunks_received(server) == b"one"


@pytest.mark.parametrize("request_head", [GET, OLD])
def test_a_stream_whose_next_piece_takes_too_long_is_cut_by_a_reset(
    later: tuple[Application, Server], request_head: bytes
) -> None:
    application, server = later
    server.client.send(request_head)
    server.turn()
    application.pending[0].finish(application.stepwise())
    application.pending[-1].finish(b"one")
    assert server.connection.occupying == "GET /"
    server.connection.expire()
    received_until_reset(server)
    application.pending[-1].finish(b"two")
    assert (server.is_gone, application.closed) == (True, 1)


def test_an_answer_that_is_there_and_not_begun_is_closed_when_the_client_goes(
    later: tuple[Application, Server],
) -> None:
    application, server = later
    server.ask()
    pending = application.pending[0]
    pending.on_done = bool  # as while bytes before it are still unsent
    pending.finish(application.stream())
    reset(server.client)
    server.turn()
    assert (server.is_gone, application.closed) == (True, 1)


def test_done_when_it_is_gone_is_nothing(later: tuple[Application, Server]) -> None:
    _, server = later
    server.connection.close()
    server.connection.go_on()
    assert server.is_gone


# Any sizes


@given(
    pieces=st.lists(st.integers(1, 40_000), max_size=12),
    reads=st.lists(st.integers(1, 30_000), min_size=1, max_size=12),
    count=st.integers(1, 3),
)
def test_whatever_the_sizes_of_pieces_and_reads_all_arrives(pieces: list[int], reads: list[int], count: int) -> None:
    application = Application(*[bytes([65 + number]) * size for number, size in enumerate(pieces)])
    server = serve(application)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    server.client.send(GET * (count - 1) + CLOSING)
    received, turns = b"", 0
    while not server.is_gone or turns == 0:
        server.turn()
        server.client.settimeout(0)
        with suppress(BlockingIOError):
            received += server.client.recv(reads[turns % len(reads)])
        turns += 1
    server.client.settimeout(5)
    received += server.receive_all()
    content = b"".join(bytes([65 + number]) * size for number, size in enumerate(pieces))
    answers = received.split(BLOCK)[1:]
    assert [unchunked(b"\r\n\r\n" + each.partition(b"\r\n\r\n")[2]) for each in answers] == [content] * count
    assert application.closed == count
