"""Applications that answer piece by piece, from files and later, and read what they are sent; from bytes to bytes.

What holds for any stream of requests: any split of it gives the same answers, also when an answer comes at another
time; the content that an application gets is what was sent; each answer, and each content, is closed once.
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack

from prefork.http.answers import Answer, AnswerHead, File, Pending, Stream, Truncated, Whole
from prefork.http.content import Content
from prefork.http.messages import Limits, Peer, Rejection, Request
from prefork.http.protocol import Parcel, Protocol
from prefork.http.response import CONTINUE
from prefork.http.service import Service
from prefork.http.waiting import Waiting
from tests.unit.http.test_protocol import CHUNKED, EXPECTING, GET, POST, by_bytes, cuts, split, statuses

OK = b"HTTP/1.1 200 OK\r\n"
EXACT = AnswerHead(200, OK + b"Content-Length: 5\r\n", 5)


def get(target: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: a", *lines, "", ""]).encode()


class Kept:
    """The content of a request, in memory; it moves unless it is `heavy`, and there is no room for more than `room`."""

    heavy = False
    room = 1 << 30

    def __init__(self, counter: Counter[str]) -> None:
        counter["contents"] += 1
        self._counter = counter
        self.data = b""

    def write(self, data: bytes) -> None:
        if len(self.data) + len(data) > self.room:
            raise Rejection(507, "no room")
        self.data += data

    def kept(self) -> bytes | None:
        return None if self.heavy else self.data

    def close(self) -> None:
        self._counter["contents closed"] += 1


class Application:
    """Answers as the target says: in `pieces`, `sized`, a `file`, `cut`, `whole`, `status`, `later` or `slowly`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.counter = Counter[str]()
        self.pending: list[Pending] = []
        self.seen: list[tuple[bytes, bytes]] = []
        self.content: type[Kept] = Kept
        self.service = Service(self._respond, limits or Limits(), lambda: self.content(self.counter))
        self.told: list[list[object]] = []
        self.renew()

    def renew(self, *, observed: bool = False) -> None:
        self.protocol = Protocol(self.service, Peer(b"127.0.0.1"), self if observed else None)

    def say(self, *pieces: bytes) -> bytes:
        """Send the pieces, and return all that comes by itself, files written out."""
        answers = b""
        for piece in pieces:
            answers += self.protocol.receive(piece) + self.rest()
        return answers

    def rest(self) -> bytes:
        """Return what comes next, as when the peer has taken what came before."""
        answers = b""
        while self.protocol.behind:
            if (file := self.protocol.file) is not None:
                answers += b"f" * file.left
                file.left = 0
            answers += self.protocol.receive(b"")
        return answers

    def finish(self, result: Whole | Stream | bytes | Truncated | None) -> bytes:
        """Be done with what is pending, and return what comes of it."""
        self.pending.pop().finish(result)
        return self.protocol.receive(b"") + self.rest()

    def _respond(self, request: Request, _peer: Peer, content: Content | None) -> Answer:
        self.seen.append((request.target, content.data if isinstance(content, Kept) else b""))
        if content is not None:
            content.close()
        if request.target.startswith(b"/later"):
            self.pending.append(Pending())
            return self.pending[-1]
        return self.answer(request.target, self.seen[-1][1])

    def answer(self, target: bytes, content: bytes = b"") -> Whole | Stream:
        kind = target.removeprefix(b"/later").partition(b"?")[0]
        if kind == b"/status":
            status = int(target.partition(b"?")[2])
            return self.stream(b"dropped", status=status)
        if kind == b"/pieces":
            return self.stream(b"one", b"two")
        if kind == b"/sized":
            return self.stream(b"one", b"two", length=6)
        if kind == b"/file":
            return self.stream(length=5, file=File(3, 0, 5))
        if kind == b"/cut":
            return self.stream(b"one", Truncated())
        return Whole(EXACT, b"exact") if kind == b"/exact" else Whole(AnswerHead(200, OK), b"whole" + content)

    def stream(
        self, *pieces: bytes | Truncated, length: int | None = None, status: int = 200, file: File | None = None
    ) -> Stream:
        left = list(pieces)

        def pull() -> bytes | None:
            piece = left.pop(0) if left else None
            if isinstance(piece, Truncated):
                raise piece
            return piece

        self.counter["streams"] += 1
        block = OK if length is None else b"%bContent-Length: %d\r\n" % (OK, length)
        return Stream(AnswerHead(status, block, length), pull, self._close, file)

    def stepwise(self) -> Stream:
        """Return a stream whose pieces come later."""

        def pull() -> Pending:
            self.pending.append(Pending())
            return self.pending[-1]

        self.counter["streams"] += 1
        return Stream(AnswerHead(200, OK), pull, self._close)

    def _close(self) -> None:
        self.counter["streams closed"] += 1

    @property
    def all_is_closed(self) -> bool:
        counts = self.counter
        return counts["streams"] == counts["streams closed"] and counts["contents"] == counts["contents closed"]

    # It observes itself.

    def answered(self, head: bytes, request: Request | None, status: int, *, size: int, body: int, more: bool) -> None:
        self.told.append([head, status, size, body, more])

    def grew(self, *, size: int, body: int) -> None:
        self.told[-1][2] += size  # type: ignore[operator]  # an int
        self.told[-1][3] += body  # type: ignore[operator]  # an int

    def ended(self) -> None:
        self.told[-1][4] = False


@pytest.fixture
def app() -> Application:
    return Application()


PIECES = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
SIZED = OK + b"Content-Length: 6\r\n\r\nonetwo"
FILE = OK + b"Content-Length: 5\r\n\r\nfffff"


def whole(content: bytes = b"") -> bytes:
    return OK + b"Content-Length: %d\r\n\r\nwhole%b" % (5 + len(content), content)


# Streams


@pytest.mark.parametrize(("target", "answer"), [("/pieces", PIECES), ("/sized", SIZED), ("/file", FILE)])
def test_a_stream_is_given_out_to_its_end_and_the_connection_goes_on(
    app: Application, target: str, answer: bytes
) -> None:
    assert app.say(get(target)) == answer
    assert (app.protocol.waiting_for, app.protocol.keep_alive) == (Waiting.REQUEST, True)
    assert app.say(get(target)) == answer
    assert app.all_is_closed


def test_while_a_stream_is_given_out_the_connection_waits_for_the_application_and_stays(app: Application) -> None:
    first = app.protocol.receive(get("/pieces"))
    assert PIECES.startswith(first)
    assert b"one" in first
    protocol = app.protocol
    assert (protocol.waiting_for, protocol.is_streaming, protocol.can_move) == (Waiting.APPLICATION, True, False)
    assert protocol.behind
    assert first + app.rest() == PIECES
    assert (protocol.is_streaming, protocol.can_move) == (False, True)


def test_the_content_of_a_file_is_for_whoever_owns_the_socket(app: Application) -> None:
    assert app.protocol.receive(get("/file")) == FILE.removesuffix(b"fffff")
    file = app.protocol.file
    assert file is not None
    assert (file.fd, file.left) == (3, 5)
    file.left = 0
    assert app.protocol.file is None
    assert app.protocol.receive(b"") == b""
    assert app.all_is_closed


@pytest.mark.parametrize("target", ["/pieces", "/sized", "/file", "/status?204", "/status?205", "/status?304"])
def test_where_there_is_no_content_the_stream_is_only_closed(app: Application, target: str) -> None:
    method = "GET" if "status" in target else "HEAD"
    answer = app.say(get(target, method=method))
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1
    assert b"chunked" not in answer
    assert app.all_is_closed
    assert app.say(get("/whole")) == whole()


@pytest.mark.parametrize("lines", [["Connection: close"], []])
def test_a_stream_may_be_the_last_answer(app: Application, lines: list[str]) -> None:
    if not lines:
        app.protocol.drain()
    answer = app.say(get("/pieces", *lines) + GET)
    assert b"Connection: close\r\n" in answer
    assert answer.endswith(b"0\r\n\r\n")
    assert (app.protocol.keep_alive, app.protocol.waiting_for) == (False, Waiting.NOTHING)
    assert app.all_is_closed


def test_to_http_1_0_the_end_of_the_connection_ends_it(app: Application) -> None:
    answer = app.say(get("/pieces", "Connection: keep-alive", version="1.0"))
    assert answer == OK + b"Connection: close\r\n\r\nonetwo"
    assert not app.protocol.keep_alive
    app.renew()
    assert b"keep-alive" in app.say(get("/sized", "Connection: keep-alive", version="1.0"))
    assert app.protocol.keep_alive


def test_a_stream_that_can_not_go_on_is_cut_and_nothing_after_it_is_answered(app: Application) -> None:
    answer = app.say(get("/cut") + GET)
    assert answer == OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    assert (app.protocol.cut, app.protocol.keep_alive) == (True, False)
    assert app.say(GET) == b""
    assert app.all_is_closed


def test_draining_in_the_middle_of_a_stream_ends_with_the_answer_after_it(app: Application) -> None:
    first = app.protocol.receive(get("/pieces"))
    app.protocol.drain()
    assert first + app.rest() == PIECES
    assert app.protocol.waiting_for is Waiting.LAST
    assert b"Connection: close" in app.say(GET)


def test_a_stream_that_is_not_taken_in_time_is_cut(app: Application) -> None:
    app.protocol.receive(get("/pieces"))
    assert app.protocol.expire() == b""
    assert (app.protocol.cut, app.protocol.keep_alive) == (True, False)
    assert app.all_is_closed


def test_what_is_pipelined_behind_a_stream_waits_for_its_end(app: Application) -> None:
    first = app.protocol.receive(get("/pieces") + get("/sized") + GET[:-2])
    assert app.seen == [(b"/pieces", b"")]
    assert first + app.rest() == PIECES + SIZED
    assert (app.seen, app.protocol.waiting_for) == ([(b"/pieces", b""), (b"/sized", b"")], Waiting.HEAD)
    assert app.say(GET[-2:]) == whole()


def test_the_keep_alive_limit_holds_for_streams() -> None:
    app = Application(Limits(requests=2))
    assert b"close" not in app.say(get("/pieces"))
    assert b"Connection: close" in app.say(get("/pieces"))
    assert app.service.requests == 2


# What comes later


def test_an_answer_that_comes_later_is_given_out_then(app: Application) -> None:
    assert (app.say(get("/later")), app.protocol.waiting_for) == (b"", Waiting.APPLICATION)
    assert app.protocol.occupying == "GET /later"
    assert app.protocol.unanswered == (get("/later"), True)
    assert not app.protocol.can_move
    assert app.finish(app.answer(b"/later")) == whole()
    assert app.protocol.occupying == ""
    assert app.protocol.waiting_for is Waiting.REQUEST


def test_what_is_pipelined_behind_it_waits(app: Application) -> None:
    assert app.say(get("/later") + get("/pieces") + get("/later") + GET) == b""
    assert app.finish(app.answer(b"/later")) == whole() + PIECES
    assert app.finish(app.answer(b"/later")) == whole() + whole()


def test_its_pieces_may_come_later_too(app: Application) -> None:
    app.say(get("/later") + GET)
    answer = app.finish(app.stepwise())
    assert (answer, app.protocol.behind) == (OK + b"Transfer-Encoding: chunked\r\n\r\n", False)
    answer += app.finish(b"one") + app.finish(b"two")
    assert app.protocol.occupying == "GET /later"
    assert answer + app.finish(None) == PIECES + whole()
    assert app.all_is_closed


def test_a_piece_that_can_not_be_made_cuts(app: Application) -> None:
    app.say(get("/later") + GET)
    app.finish(app.stepwise())
    assert app.finish(Truncated()) == b""
    assert (app.protocol.cut, app.protocol.keep_alive, app.all_is_closed) == (True, False, True)


def test_who_waits_too_long_is_told_and_the_answer_closed(app: Application) -> None:
    app.say(get("/later") + GET)
    assert app.protocol.occupying
    assert statuses(app.protocol.expire()) == [503]
    assert (app.protocol.pending, app.protocol.occupying) == (None, "")
    app.pending.pop().finish(app.answer(b"/pieces"))
    assert (app.protocol.keep_alive, app.all_is_closed, app.protocol.cut) == (False, True, False)


def test_the_time_of_a_head_request_is_told_without_content(app: Application) -> None:
    app.say(get("/later", method="HEAD"))
    assert app.protocol.expire().endswith(b"\r\n\r\n")


@pytest.mark.parametrize("lines", [["Connection: close"], []])
def test_an_answer_that_comes_later_may_be_the_last(app: Application, lines: list[str]) -> None:
    app.say(get("/later", *lines) + GET)
    if not lines:
        app.protocol.drain()
    assert b"Connection: close" in app.finish(app.answer(b"/pieces"))
    assert (app.protocol.keep_alive, app.say(GET)) == (False, b"")


@pytest.mark.parametrize("target", ["/later", "/pieces", "/file"])
def test_what_nobody_waits_for_any_more_is_closed(app: Application, target: str) -> None:
    app.protocol.receive(get(target))
    app.protocol.abandon()
    for each in app.pending:
        each.finish(app.answer(b"/pieces"))
    app.protocol.abandon()
    assert app.all_is_closed


def test_a_thread_that_has_not_begun_is_not_occupied(app: Application) -> None:
    app.say(get("/later"))
    app.pending[0].has_begun = False
    assert app.protocol.occupying == ""


def test_an_answer_whose_head_comes_again_is_the_same_with_its_own_content(app: Application) -> None:
    for _ in range(3):
        assert app.say(get("/exact")) == OK + b"Content-Length: 5\r\n\r\nexact"
        assert app.say(get("/exact", method="HEAD")) == OK + b"Content-Length: 5\r\n\r\n"
    assert app.service.requests == 6


def test_a_last_answer_whose_head_comes_again_ends_the_connection_each_time(app: Application) -> None:
    for _ in range(4):
        app.renew()
        answer = OK + b"Content-Length: 5\r\nConnection: close\r\n\r\nexact"
        assert app.say(get("/exact", "Connection: close")) == answer
        assert (app.protocol.keep_alive, app.protocol.peer_is_done) == (False, True)
        assert app.say(GET) == b""


# Content


@pytest.mark.parametrize(
    ("sent", "content"),
    [(POST + b"Hello", b"Hello"), (CHUNKED + b"3\r\nHel\r\n2;x=y\r\nlo\r\n0\r\nX: y\r\n\r\n", b"Hello")],
)
def test_the_application_gets_the_content_that_was_sent(app: Application, sent: bytes, content: bytes) -> None:
    for pieces in [sent], by_bytes(sent):
        app.renew()
        assert app.say(*pieces, GET) == whole(content) + whole()
    assert app.all_is_closed


def test_a_request_without_content_has_none(app: Application) -> None:
    app.say(GET + POST.replace(b": 5", b": 0"))
    assert app.counter["contents"] == 0


@pytest.mark.parametrize("end", ["abandon", "expire"])
def test_content_that_never_becomes_whole_is_let_go_of(app: Application, end: str) -> None:
    app.say(POST + b"He")
    getattr(app.protocol, end)()
    assert (app.counter["contents"], app.all_is_closed) == (1, True)


def test_content_that_is_refused_in_the_middle_is_let_go_of(app: Application) -> None:
    assert statuses(app.say(CHUNKED + b"5\r\nHello!\r\n")) == [400]
    assert (app.counter["contents"], app.all_is_closed) == (1, True)


@pytest.mark.parametrize("heavy", [False, True])
def test_content_that_was_let_go_of_does_not_go_on_elsewhere(app: Application, *, heavy: bool) -> None:
    app.content = type("Light or heavy", (Kept,), {"heavy": heavy})
    app.say(POST + b"He")
    app.protocol.expire()
    assert app.protocol.can_move
    assert app.protocol.leave() == Parcel(keep_alive=False)


def test_where_there_is_no_room_for_content_the_client_is_told(app: Application) -> None:
    app.content = type("Small", (Kept,), {"room": 3})
    assert statuses(app.say(POST + b"Hello" + GET)) == [507]
    assert (app.protocol.keep_alive, app.all_is_closed) == (False, True)


def test_content_that_finds_no_room_where_it_goes_on_is_told_there(app: Application) -> None:
    app.say(POST + b"Hell")
    parcel = msgpack.decode(msgpack.encode(app.protocol.leave()), type=Parcel)
    there = Application()
    there.content = type("Small", (Kept,), {"room": 3})
    assert statuses(there.protocol.resume(parcel)) == [507]
    assert (there.protocol.keep_alive, there.all_is_closed) == (False, True)
    assert there.say(b"o" + GET) == b""


def test_content_goes_on_elsewhere_unless_it_is_too_much(app: Application) -> None:
    app.say(POST + b"He")
    assert app.protocol.can_move
    parcel = msgpack.decode(msgpack.encode(app.protocol.leave()), type=Parcel)
    there = Application()
    assert there.protocol.resume(parcel) == b""
    assert there.say(b"llo") == whole(b"Hello")
    app.renew()
    app.content = type("Heavy", (Kept,), {"heavy": True})
    app.say(POST + b"He")
    moves = [app.protocol.can_move]
    assert app.say(b"llo") == whole(b"Hello")
    assert [*moves, app.protocol.can_move] == [False, True]


def test_100_continue_is_sent_for_content_that_is_kept_too(app: Application) -> None:
    assert app.say(EXPECTING) == CONTINUE
    assert app.say(b"Hello") == whole(b"Hello")


# Observing


@pytest.mark.parametrize(
    ("target", "answer", "body"),
    [("/pieces", PIECES, 6), ("/sized", SIZED, 6), ("/file", FILE, 5), ("/whole", whole(), 5)],
)
def test_the_observer_is_told_how_much_it_is_in_all(app: Application, target: str, answer: bytes, body: int) -> None:
    app.renew(observed=True)
    assert app.say(get(target)) == answer
    assert app.told == [[get(target), 200, len(answer), body, False]]


def test_the_observer_is_not_told_that_what_is_cut_has_ended(app: Application) -> None:
    app.renew(observed=True)
    answer = app.say(get("/cut"))
    assert app.told == [[get("/cut"), 200, len(answer), 3, True]]


def test_the_observer_is_told_of_answers_without_content_that_they_have_none(app: Application) -> None:
    app.renew(observed=True)
    for sent in get("/pieces", method="HEAD"), get("/status?204"):
        app.say(sent)
        assert app.told[-1][3:] == [0, False]


def test_the_observer_is_told_how_much_a_refusal_is(app: Application) -> None:
    reason = len(b"no Host field\n")
    for method, body in (("GET", reason), ("HEAD", 0)):
        app.renew(observed=True)
        head = f"{method} / HTTP/1.1\r\n\r\n".encode()
        answer = app.say(head)
        assert app.told[-1] == [head, 400, len(answer), body, False]


# Anything

PARTS = [
    GET, get("/exact"), get("/exact", method="HEAD"), get("/exact", "Connection: close"), get("/pieces"), get("/sized"), get("/file"), get("/cut"), get("/later"), get("/later/pieces"),
    get("/pieces", method="HEAD"), get("/sized", "Connection: close"), get("/pieces", version="1.0"),
    get("/status?204"), POST + b"Hello", CHUNKED + b"3\r\nHel\r\n2\r\nlo\r\n0\r\n\r\n",
    POST.replace(b"/five", b"/later/pieces") + b"Hello", b"nonsense\r\n\r\n",
]  # fmt: skip


def answers(app: Application, pieces: list[bytes], finish_after: int) -> bytes:
    """Return all answers, where each that is pending is done with after so many further pieces."""
    found, waited = b"", 0
    unread = list(pieces)
    while True:
        if app.pending:
            waited += 1
            if waited > finish_after:
                waited = 0
                found += app.finish(app.answer(app.seen[-1][0], app.seen[-1][1]))
            continue
        if not unread:
            return found
        found += app.say(unread.pop(0))


@given(
    parts=st.lists(st.sampled_from(PARTS), max_size=8),
    cuts=cuts,
    finish_after=st.integers(0, 3),
    observed=st.booleans(),
)
def test_any_split_gives_the_same_answers_whatever_their_kind(
    parts: list[bytes], cuts: list[int], finish_after: int, *, observed: bool
) -> None:
    stream = b"".join(parts)
    expected = Application()
    at_once = answers(expected, [stream], 0)
    for pieces in split(stream, cuts), by_bytes(stream):
        app = Application()
        app.renew(observed=observed)
        assert answers(app, pieces, finish_after) == at_once
        assert app.seen == expected.seen
        assert (app.protocol.keep_alive, app.protocol.cut) == (expected.protocol.keep_alive, expected.protocol.cut)
        app.protocol.abandon()
        assert app.all_is_closed


@given(content=st.binary(max_size=300), sizes=st.lists(st.integers(1, 50), max_size=20), cuts=cuts)
def test_the_content_that_is_kept_is_the_content_that_was_sent(
    content: bytes, sizes: list[int], cuts: list[int]
) -> None:
    chunks, left = [], content
    for size in [*sizes, len(content) or 1]:
        if left:
            chunks.append(left[:size])
            left = left[size:]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
    for sent in POST.replace(b": 5", b": %d" % len(content)) + content, CHUNKED + coded:
        app = Application()
        app.say(*split(sent, cuts))
        assert [kept for _, kept in app.seen] == [content]
