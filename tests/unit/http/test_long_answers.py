"""An answer with a long body is given in two parts, the second being the very object that the application gave."""

import pytest

from prefork.http.answers import AnswerHead, Pending, Stream, Whole
from prefork.http.content import Content
from prefork.http.messages import Limits, Peer, Request
from prefork.http.protocol import Protocol
from prefork.http.response import LONGEST_JOINED
from prefork.http.service import Service
from prefork.http.waiting import Waiting

GET = b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n"
SHORT = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
CLOSING = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
POST = b"POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok"
BODY = b"x" * (LONGEST_JOINED + 1)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
KNOWN, UNKNOWN = AnswerHead(200, b"HTTP/1.1 200 OK\r\n" + LENGTH, len(BODY)), AnswerHead(200, b"HTTP/1.1 200 OK\r\n")
SMALL = Whole(UNKNOWN, b"small")
SMALL_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall"


class Seen:
    """What an observer was told."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int, bool]] = []

    def answered(self, head: bytes, request: Request | None, status: int, *, size: int, body: int, more: bool) -> None:
        self.sizes.append((size, body, more))

    def grew(self, *, size: int, body: int) -> None: ...

    def ended(self) -> None: ...


def talk(head: AnswerHead = KNOWN, observer: Seen | None = None, limits: Limits | None = None) -> Protocol:
    def respond(request: Request, _peer: Peer, _content: Content | None) -> Whole:
        return SMALL if request.target == b"/" else Whole(head, BODY)

    return Protocol(Service(respond, limits or Limits()), Peer(b"127.0.0.1"), observer)


def rest(protocol: Protocol) -> list[bytes]:
    """Return all that is given out while the client takes it."""
    given = []
    while protocol.behind:
        given.append(protocol.receive(b""))
    return given


@pytest.mark.parametrize("head", [KNOWN, UNKNOWN], ids=["length said", "length found"])
@pytest.mark.parametrize("observer", [None, Seen()], ids=["unseen", "observed"])
@pytest.mark.parametrize("request_", [GET, POST, b"\r\n" + GET])
def test_the_body_is_not_copied_and_the_connection_goes_on(
    head: AnswerHead, observer: Seen | None, request_: bytes
) -> None:
    protocol = talk(head, observer)
    for _ in range(3):
        assert protocol.receive(request_) == b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n"
        (body,) = rest(protocol)
        assert body is BODY
        assert (protocol.waiting_for, protocol.keep_alive) == (Waiting.REQUEST, True)
    assert protocol.receive(SHORT) == SMALL_ANSWER


def test_the_last_answer_is_whole_before_the_connection_ends() -> None:
    for protocol in (talk(), talk(observer=Seen()), talk(limits=Limits(requests=1))):
        assert protocol.receive(CLOSING).endswith(b"Connection: close\r\n\r\n")
        assert protocol.keep_alive
        assert rest(protocol) == [BODY]
        assert (protocol.waiting_for, protocol.keep_alive) == (Waiting.NOTHING, False)


@pytest.mark.parametrize("observer", [None, Seen()], ids=["unseen", "observed"])
def test_pipelined_requests_around_it_are_answered_in_their_order(observer: Seen | None) -> None:
    protocol = talk(observer=observer)
    first = protocol.receive(SHORT + GET + SHORT + GET + SHORT[:9])
    answers = b"".join([first, *rest(protocol)])
    long = b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY
    assert answers == (SMALL_ANSWER + long) * 2
    assert protocol.receive(SHORT[9:]) == SMALL_ANSWER


def test_the_answer_to_head_has_no_body() -> None:
    protocol = talk()
    assert protocol.receive(HEAD) == b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n"
    assert not protocol.behind


def test_the_observer_is_told_of_all_of_it_once() -> None:
    observer = Seen()
    protocol = talk(observer=observer)
    head = protocol.receive(GET)
    rest(protocol)
    assert observer.sizes == [(len(head) + len(BODY), len(BODY), False)]


def test_what_is_cut_between_the_two_parts_does_not_look_whole() -> None:
    protocol = talk()
    protocol.receive(GET)
    assert (protocol.is_streaming, protocol.can_move) == (True, False)
    assert protocol.unanswered == (b"", False)
    assert protocol.expire() == b""
    assert (protocol.keep_alive, protocol.behind, protocol.is_streaming) == (False, False, False)


def test_after_both_parts_it_can_move() -> None:
    protocol = talk()
    protocol.receive(GET)
    rest(protocol)
    assert (protocol.is_streaming, protocol.can_move) == (False, True)


def test_an_answer_that_a_thread_gives_later_comes_in_parts_too() -> None:
    pending = Pending()
    protocol = Protocol(Service(lambda *_: pending, Limits()), Peer(b"127.0.0.1"))
    assert protocol.receive(GET + GET) == b""
    pending.result = Whole(KNOWN, BODY)
    assert protocol.receive(b"").endswith(b"\r\n\r\n")
    assert protocol.receive(b"") is BODY
    assert protocol.behind  # the second request


def test_a_long_piece_of_an_answer_in_pieces_is_not_copied_either() -> None:
    pieces = iter([BODY, None])
    stream = Stream(KNOWN, lambda: next(pieces), bool)
    protocol = Protocol(Service(lambda *_: stream, Limits()), Peer(b"127.0.0.1"))
    assert protocol.receive(GET) == b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n"
    piece, end = rest(protocol)
    assert piece is BODY
    assert end == b""
    assert (protocol.waiting_for, protocol.keep_alive) == (Waiting.REQUEST, True)
