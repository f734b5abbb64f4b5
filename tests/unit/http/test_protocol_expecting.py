"""An application that is called before the content of a request has come, whose client waits for 100 (Continue).

What holds for any of it: 100 is sent if the application asks, and never after its answer has begun; what is asked for
is given, or ends; an answer without it ends the connection; and any split of a stream gives the same answers.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.http.answers import Answer, AnswerHead, Pending, Stream, Truncated, Whole
from prefork.http.content import Content
from prefork.http.messages import Limits, Peer, Request, Response
from prefork.http.protocol import Protocol
from prefork.http.response import CONTINUE
from prefork.http.service import Service
from prefork.http.waiting import Waiting
from tests.unit.http.test_protocol import CHUNKED, EXPECTING, GET, POST, by_bytes, cuts, split, statuses

OK = AnswerHead(200, b"HTTP/1.1 200 OK\r\n")
EXPECTING_CHUNKS = CHUNKED.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
CHUNKS = b"3\r\nHel\r\n2\r\nlo\r\n0\r\n\r\n"


class Kept:
    """Content that has come when it is given to the application, or before that is called."""

    def __init__(self) -> None:
        self.on_wanted: Callable[[], object] = bool
        self.data = b""
        self.happened: list[str] = []

    def write(self, data: bytes) -> None:
        self.data += data

    def kept(self) -> bytes | None:
        return None

    def give(self) -> None:
        self.happened.append("given")

    def withhold(self) -> None:
        self.happened.append("withheld")

    def close(self) -> None:
        self.happened.append("closed")


class Application:
    """Is at work on each request in `pending`, unless `busy`; the test tells when it asks, and what it answers."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.busy = False
        self.awaited: list[Kept] = []
        self.pending: list[Pending] = []
        self.seen: list[Content | None] = []
        self.service = Service(self._respond, limits or Limits(), Kept, self._new_awaited)
        self.told: list[tuple[bytes, int]] = []
        self.protocol = Protocol(self.service, Peer(b"127.0.0.1"), self)

    def _new_awaited(self) -> Kept:
        self.awaited.append(Kept())
        return self.awaited[-1]

    def _respond(self, _request: Request, _peer: Peer, content: Content | None) -> Answer:
        self.seen.append(content)
        if self.busy:
            return Response(503, (), b"busy")
        self.pending.append(Pending())
        return self.pending[-1]

    def ask(self) -> bytes:
        """Have the application ask for the content."""
        self.awaited[-1].on_wanted()
        return self.protocol.receive(b"")

    def finish(self, result: Whole | Stream | bytes | Truncated | None = None, *, body: bytes = b"done") -> bytes:
        self.pending.pop().finish(result if result is not None else Whole(OK, body))
        answer = self.protocol.receive(b"")
        while self.protocol.behind:
            answer += self.protocol.receive(b"")
        return answer

    def state(self) -> tuple[Waiting, bool]:
        return self.protocol.waiting_for, self.protocol.keep_alive

    def answered(self, head: bytes, request: Request | None, status: int, **_sizes: int) -> None:
        self.told.append((head, status))

    def grew(self, **_sizes: int) -> None: ...

    def ended(self) -> None: ...


@pytest.fixture
def app() -> Application:
    return Application()


def done(body: bytes = b"done") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


# What is read


@pytest.mark.parametrize(("head", "body"), [(EXPECTING, b"Hello"), (EXPECTING_CHUNKS, CHUNKS)])
def test_the_application_is_called_at_once_and_100_sent_when_it_asks_rfc9110_10_1_1(
    app: Application, head: bytes, body: bytes
) -> None:
    assert app.protocol.receive(head) == b""
    assert (app.seen, app.state()) == ([app.awaited[0]], (Waiting.APPLICATION, True))
    assert app.ask() == CONTINUE
    assert app.state() == (Waiting.BODY, True)
    assert [app.protocol.receive(each) for each in by_bytes(body)] == [b""] * len(body)
    assert (app.awaited[0].data, app.awaited[0].happened) == (b"Hello", ["given"])
    assert app.state() == (Waiting.APPLICATION, True)
    assert app.finish() == done()
    assert (app.state(), app.told) == ((Waiting.REQUEST, True), [(head, 200)])


def test_what_is_pipelined_before_and_after_it_keeps_its_order(app: Application) -> None:
    assert app.protocol.receive(GET + EXPECTING) == b""
    assert app.finish(body=b"first") == done(b"first")
    assert app.ask() == CONTINUE
    assert app.protocol.receive(b"Hello" + GET + GET[:9]) == b""
    assert app.finish(body=b"second") == done(b"second")
    assert app.finish(body=b"third") == done(b"third")
    assert app.state() == (Waiting.HEAD, True)
    assert [head for head, _ in app.told] == [GET, EXPECTING, GET]


def test_a_body_that_has_begun_to_come_is_received_before_the_application_is_called(app: Application) -> None:
    assert app.protocol.receive(EXPECTING + b"H") == b""
    assert (app.seen, app.state()) == ([], (Waiting.BODY, True))
    app.protocol.receive(b"ello")
    assert (app.awaited, app.finish(), app.state()) == ([], done(), (Waiting.REQUEST, True))


def test_who_does_not_expect_100_is_not_told_to_go_on(app: Application) -> None:
    for sent in POST, EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0"):
        again = Application()
        assert again.protocol.receive(sent) == b""
        assert (again.seen, again.state()) == ([], (Waiting.BODY, True))
    app.protocol.receive(EXPECTING.replace(b": 5", b": 0"))
    assert app.seen == [None]


def test_a_thread_that_waits_for_content_stays_occupied_and_the_connection_stays(app: Application) -> None:
    app.protocol.receive(EXPECTING)
    app.ask()
    assert (app.protocol.occupying, app.protocol.can_move) == ("POST /five", False)
    assert app.protocol.unanswered == (EXPECTING, True)
    app.protocol.receive(b"Hello")
    app.finish()
    assert (app.protocol.occupying, app.protocol.can_move) == ("", True)


def test_while_draining_its_answer_is_the_last(app: Application) -> None:
    app.protocol.receive(EXPECTING)
    app.protocol.drain()
    assert app.ask() == CONTINUE
    app.protocol.receive(b"Hello")
    assert b"Connection: close" in app.finish()
    assert app.state() == (Waiting.NOTHING, False)


# What is not read


def stream() -> Stream:
    pieces = iter([b"one", b"two"])
    return Stream(OK, lambda: next(pieces, None), bool)


@pytest.mark.parametrize("make", [lambda: Whole(OK, b"no"), lambda: Whole(OK, b"x" * 1_000_000), stream])
def test_an_answer_without_reading_comes_without_100_and_is_the_last_rfc9110_10_1_1(
    app: Application, make: Callable[[], Whole | Stream]
) -> None:
    app.protocol.receive(EXPECTING)
    answer = app.finish(make())
    assert (statuses(answer), b"Connection: close\r\n" in answer) == ([200], True)
    assert (app.state(), app.protocol.peer_is_done) == ((Waiting.NOTHING, False), False)
    assert app.protocol.receive(b"Hello" + GET) == b""
    assert (app.awaited[0].happened, app.told) == (["withheld"], [(EXPECTING, 200)])


def test_what_is_asked_for_after_the_answer_has_begun_is_withheld(app: Application) -> None:
    app.protocol.receive(EXPECTING)
    app.pending.pop().finish(stream())
    assert b"one" in app.protocol.receive(b"")
    assert app.awaited[0].happened == ["withheld"]
    assert (app.protocol.behind, app.protocol.cut) == (True, False)


def test_what_is_asked_for_while_the_answer_waits_for_the_ones_before_it_is_withheld(app: Application) -> None:
    app.protocol.receive(EXPECTING)
    app.pending[0].finish(Whole(OK, b"done"))
    app.awaited[0].on_wanted()
    assert app.protocol.receive(b"") == done().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert (app.awaited[0].happened, app.state()) == (["withheld"], (Waiting.NOTHING, False))


def test_where_no_thread_takes_it_the_client_is_told_without_100(app: Application) -> None:
    app.busy = True
    answer = app.protocol.receive(EXPECTING)
    assert (statuses(answer), b"Connection: close" in answer) == ([503], True)
    assert app.protocol.receive(b"Hello" + GET) == b""
    assert app.state() == (Waiting.NOTHING, False)


def test_a_body_that_is_too_large_is_refused_before_the_application_is_called() -> None:
    app = Application(Limits(body=4))
    assert statuses(app.protocol.receive(EXPECTING)) == [413]
    assert (app.awaited, app.seen) == ([], [])


# What ends in the middle


def leave(app: Application) -> bytes:
    app.protocol.abandon()
    return b""


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (leave, []),
        (lambda app: app.protocol.expire(), [408]),
        (lambda app: app.protocol.receive(b"llox\r\n"), [400]),
        (lambda app: app.protocol.receive(b"llo\r\nffff\r\n"), [413]),
    ],
)
def test_content_that_does_not_come_whole_is_closed_and_its_answer_dropped(
    end: Callable[[Application], bytes], told: list[int]
) -> None:
    app = Application(Limits(body=10))
    app.protocol.receive(EXPECTING_CHUNKS)
    app.ask()
    app.protocol.receive(b"5\r\nHe")
    assert statuses(end(app)) == told
    assert (app.awaited[0].happened, app.pending[0].abandoned, app.protocol.pending) == (["closed"], True, None)
    closed: list[str] = []
    app.pending[0].finish(Stream(OK, lambda: None, lambda: closed.append("closed")))
    assert closed == ["closed"]


def test_content_that_nobody_has_asked_for_is_closed_when_time_is_up(app: Application) -> None:
    app.protocol.receive(EXPECTING)
    assert statuses(app.protocol.expire()) == [503]
    app.awaited[0].on_wanted()
    assert (app.awaited[0].happened, app.pending[0].is_done) == (["closed"], False)


def test_an_application_may_answer_from_one_thread_while_another_reads(app: Application) -> None:
    app.protocol.receive(EXPECTING)
    app.ask()
    app.protocol.receive(b"He")
    app.pending.pop().finish(Whole(OK, b"done"))
    assert app.protocol.receive(b"llo" + GET) == done()
    assert app.finish() == done()
    assert app.state() == (Waiting.REQUEST, True)


# Anything

PARTS = [GET, POST + b"Hello", EXPECTING + b"Hello", EXPECTING_CHUNKS + CHUNKS, CHUNKED + CHUNKS, b"nonsense\r\n\r\n"]


def answers(pieces: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Return all answers, and the content that the application got, if it reads all that it can."""
    app, given, told = Application(), list[bytes](), b""

    def work() -> bytes:
        content = app.seen[-1]
        assert content is None or isinstance(content, Kept)
        if content in app.awaited and not content.happened:
            return app.ask()
        given.append(content.data if content is not None else b"")
        return app.finish()

    for piece in pieces:
        told += app.protocol.receive(piece)
        while app.protocol.waiting_for is Waiting.APPLICATION:
            told += work()
    return told.replace(CONTINUE, b""), given


@given(st.lists(st.sampled_from(PARTS), max_size=5).map(b"".join), cuts)
def test_any_split_of_a_stream_gives_the_same_answers_but_for_100(stream: bytes, cuts: list[int]) -> None:
    assert answers(split(stream, cuts)) == answers([stream])
