"""A connection's requests and answers, from bytes to bytes.

What holds for any stream: any split of it gives the same answers · nothing after a rejected byte is parsed · what is
remembered and what is observed change no answer · the short cut and the long way lead to the same state · answers that
are given out little by little are the same.
"""

import re
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack

from prefork.http.content import Content
from prefork.http.forwarded import Forwarding
from prefork.http.messages import FRAMINGS, KEEP, Limits, Peer, Request, Response
from prefork.http.protocol import HIGH_WATER, Parcel, Protocol
from prefork.http.response import CONTINUE
from prefork.http.service import Service
from prefork.http.trust import trusting
from prefork.http.waiting import Waiting

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = GET.replace(b" / ", b" /large ")
CLOSING = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST /five HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"PUT /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
HTTPS = GET.replace(b" / ", b" https://a/ ")
GATEWAY = Peer(b"192.0.2.1")
EXPECTING = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")

STATUS_LINE = re.compile(rb"^HTTP/1\.1 ([0-9]{3}) ", re.MULTILINE)
Seen = tuple[bytes, bytes]
Pieces = Callable[[bytes], list[bytes]]


class Conversation:
    """A protocol whose application answers with what it was asked, and remembers it."""

    def __init__(self, limits: Limits | None = None, *, observed: bool = False) -> None:
        self.asked: list[Seen] = []
        self.observed: list[tuple[bytes, Request | None, int]] = []
        self.service = Service(
            self._respond, limits or Limits(), is_gateway=Forwarding(trusting(["192.0.2.1"])).believes
        )
        self.renew(observed=observed)

    def renew(self, *, observed: bool = False) -> None:
        """Begin another connection to the same service."""
        self.asked.clear()
        self.protocol = Protocol(self.service, Peer(b"127.0.0.1"), self if observed else None)

    def say(self, *pieces: bytes) -> bytes:
        """Send the pieces one after the other, and return all answers together."""
        return b"".join(map(self.protocol.receive, pieces))

    def state(self) -> tuple[bool, bool, Waiting]:
        return self.protocol.keep_alive, self.protocol.peer_is_done, self.protocol.waiting_for

    def _respond(self, request: Request, _peer: Peer, _content: Content | None) -> Response:
        self.asked.append((request.method, request.target))
        return Response(200, (), body_for(request.method, request.target))

    def answered(self, head: bytes, request: Request | None, status: int, **_sizes: int) -> None:
        self.observed.append((head, request, status))

    def grew(self, **_sizes: int) -> None: ...

    def ended(self) -> None: ...


def moved(protocol: Protocol, to: Conversation, *, observed: bool = False) -> None:
    """Have the conversation go on where the protocol leaves, in another process."""
    parcel = msgpack.encode(protocol.leave())
    to.renew(observed=observed)
    assert to.protocol.resume(msgpack.decode(parcel, type=Parcel)) == b""


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in STATUS_LINE.findall(answers)]


def body_for(method: bytes, target: bytes) -> bytes:
    return method + b" " + target + (b"." * (HIGH_WATER // 3) if target == b"/large" else b"\n")


def answer_to(*requests: Seen) -> bytes:
    bodies = [body_for(method, target) for method, target in requests]
    return b"".join(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)


def split(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = sorted(cut % (len(stream) + 1) for cut in cuts)
    return [stream[start:end] for start, end in zip([0, *edges], [*edges, len(stream)], strict=True)]


def at_once(stream: bytes) -> list[bytes]:
    return [stream]


def by_bytes(stream: bytes) -> list[bytes]:
    return [bytes([each]) for each in stream]


# One request after the other


def test_a_request_is_answered_and_the_connection_goes_on_rfc9112_9_3(talk: Conversation) -> None:
    assert talk.say(GET) == answer_to((b"GET", b"/"))
    assert talk.state() == (True, False, Waiting.REQUEST)
    assert talk.say(GET.replace(b" / ", b" /2 ")) == answer_to((b"GET", b"/2"))


def test_nothing_read_is_nothing_answered(talk: Conversation) -> None:
    assert talk.say(b"") == b""
    assert talk.state() == (True, False, Waiting.REQUEST)


def test_after_connection_close_the_answer_says_so_and_the_rest_is_dropped_rfc9112_9_6(talk: Conversation) -> None:
    answer = talk.say(CLOSING + GET, GET, b"\x00")
    assert answer == answer_to((b"GET", b"/last")).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert talk.state() == (False, False, Waiting.NOTHING)


@pytest.mark.parametrize("before", [b"", GET, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"])
def test_a_peer_that_asked_for_the_close_and_said_no_more_is_done(talk: Conversation, before: bytes) -> None:
    for _ in range(3):  # it is remembered by then
        talk.renew()
        talk.say(before + CLOSING)
        assert talk.state() == (False, True, Waiting.NOTHING)


def test_http_1_0_is_closed_after_its_answer_rfc9112_9_3(talk: Conversation) -> None:
    assert b"\r\nConnection: close\r\n" in talk.say(b"GET / HTTP/1.0\r\n\r\n")
    assert talk.state() == (False, True, Waiting.NOTHING)


def test_http_1_0_with_keep_alive_goes_on_and_is_told_so_rfc9112_9_3(talk: Conversation) -> None:
    assert b"\r\nConnection: keep-alive\r\n" in talk.say(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert talk.state() == (True, False, Waiting.REQUEST)


def test_the_answer_to_head_has_no_body_rfc9110_9_3_2(talk: Conversation) -> None:
    answers = talk.say(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    assert answers == b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + answer_to((b"GET", b"/"))


def test_pipelined_requests_are_answered_in_their_order_at_once_rfc9112_9_3_2(talk: Conversation) -> None:
    targets = [b"/%d" % number for number in range(20)]
    stream = b"".join(GET.replace(b" / ", b" %b " % target) for target in targets)
    assert talk.say(stream) == answer_to(*[(b"GET", target) for target in targets])


def test_the_service_counts_the_requests_that_were_answered(talk: Conversation) -> None:
    talk.say(GET, GET, GET + GET, POST, b"Hello", b"nonsense\r\n\r\n")
    assert talk.service.requests == 5


# Many answers


def rest(talk: Conversation) -> bytes:
    """Return the answers that wait for others to be sent, and see that few are given out at once."""
    answers = b""
    while talk.protocol.behind:
        some = talk.say(b"")
        assert len(some) < HIGH_WATER + len(answer_to((b"GET", b"/large")))
        answers += some
    return answers


def test_answers_are_given_out_little_by_little(talk: Conversation) -> None:
    first = talk.say(LARGE * 10 + GET[:-1])
    assert first == answer_to((b"GET", b"/large")) * 3
    assert talk.protocol.behind
    assert first + rest(talk) == answer_to((b"GET", b"/large")) * 10
    assert talk.say(GET[-1:]) == answer_to((b"GET", b"/"))


def test_the_answers_that_wait_are_given_out_elsewhere_after_a_move(talk: Conversation) -> None:
    first = talk.say(LARGE * 5)
    there = Conversation()
    moved(talk.protocol, there)
    assert first + rest(there) == answer_to((b"GET", b"/large")) * 5


def test_after_the_last_answer_none_waits(talk: Conversation) -> None:
    talk.say(LARGE * 2 + CLOSING.replace(b"/last", b"/large") + LARGE)
    assert talk.state() == (False, False, Waiting.NOTHING)
    assert not talk.protocol.behind


@given(
    parts=st.lists(st.sampled_from([LARGE, LARGE, GET, POST + b"Hello", CLOSING, b"nonsense\r\n\r\n"]), max_size=9),
    cuts=st.lists(st.integers(0, 500), max_size=5),
    moves=st.booleans(),
)
def test_answers_given_out_little_by_little_are_those_to_one_request_at_a_time(
    parts: list[bytes], cuts: list[int], *, moves: bool
) -> None:
    expected = Conversation().say(*parts)
    talk, answers = Conversation(), b""
    for piece in split(b"".join(parts), cuts):
        answers += talk.say(piece)
        if moves:
            moved(talk.protocol, talk)
        answers += rest(talk)
    assert answers == expected
    assert not talk.protocol.behind


# Bodies


@pytest.mark.parametrize("body", [b"Hello", b"GET /", b"\r\n\r\n\r"])
def test_a_body_is_dropped_and_what_follows_it_is_the_next_request_rfc9112_6(talk: Conversation, body: bytes) -> None:
    assert talk.say(POST + body + GET) == answer_to((b"POST", b"/five"), (b"GET", b"/"))


def test_a_request_is_answered_at_the_end_of_its_body_rfc9112_6(talk: Conversation) -> None:
    assert talk.say(POST) == b""
    assert talk.state() == (True, False, Waiting.BODY)
    assert talk.say(b"Hell") == b""
    assert talk.say(b"o") == answer_to((b"POST", b"/five"))
    assert talk.state() == (True, False, Waiting.REQUEST)


def test_a_chunked_body_is_dropped_and_its_trailers_mean_nothing_rfc9112_7_1_2(talk: Conversation) -> None:
    body = b"5;a=b\r\nHello\r\n0\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"
    assert talk.say(CHUNKED + body + GET) == answer_to((b"PUT", b"/chunks"), (b"GET", b"/"))


def test_a_request_with_a_body_may_be_the_last(talk: Conversation) -> None:
    assert statuses(talk.say(POST.replace(b"Host", b"Connection: close\r\nHost") + b"Hello" + GET)) == [200]
    assert talk.state() == (False, False, Waiting.NOTHING)


def test_100_continue_is_sent_while_the_body_is_waited_for_rfc9110_10_1_1(talk: Conversation) -> None:
    assert talk.say(EXPECTING) == CONTINUE
    assert talk.say(b"Hello") == answer_to((b"POST", b"/five"))


def test_100_continue_comes_after_the_answers_before_it_rfc9110_15_2(talk: Conversation) -> None:
    assert talk.say(GET + EXPECTING) == answer_to((b"GET", b"/")) + CONTINUE


@pytest.mark.parametrize("begun", [b"H", b"Hello", b"Hello" + GET])
def test_100_continue_is_left_out_once_the_body_has_begun_rfc9110_10_1_1(talk: Conversation, begun: bytes) -> None:
    assert CONTINUE not in talk.say(EXPECTING + begun)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent_rfc9110_10_1_1() -> None:
    assert statuses(Conversation(Limits(body=5)).say(EXPECTING.replace(b": 5", b": 6"))) == [413]


# Refusals

REFUSED = [
    (b"nonsense\r\n\r\n", 400),
    (b"\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (POST.replace(b"5", b"5, 5"), 400),
    (POST.replace(b": 5", b": 5\r\nTransfer-Encoding: chunked"), 400),
    (CHUNKED.replace(b"1.1", b"1.0"), 400),
    (CHUNKED.replace(b"chunked", b"gzip"), 501),
    (CHUNKED + b"5\r\nHello!\r\n0\r\n\r\n", 400),
    (CHUNKED + b"x\r\n", 400),
    (POST.replace(b": 5", b": 999999999"), 413),
    (CHUNKED + b"fffffff\r\n", 413),
    (EXPECTING.replace(b"100-continue", b"more"), 417),
    (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
]


@pytest.mark.parametrize(("refused", "status"), REFUSED)
@pytest.mark.parametrize("before", [b"", GET + POST + b"Hello"])
def test_a_refused_request_gets_its_status_and_a_close(before: bytes, refused: bytes, status: int) -> None:
    for pieces in [before + refused], by_bytes(before + refused):
        talk = Conversation()
        answers = talk.say(*pieces)
        assert statuses(answers) == [200] * (2 if before else 0) + [status]
        head, _, reason = answers.rpartition(b"\r\n\r\n")
        assert head.endswith(b"\r\nConnection: close")
        assert reason.endswith(b"\n")
        assert talk.state() == (False, False, Waiting.NOTHING)


@pytest.mark.parametrize(("refused", "_status"), REFUSED)
@pytest.mark.parametrize("after", [GET, b"\x00", POST + b"Hello" + GET])
def test_nothing_after_a_refused_request_is_parsed(refused: bytes, _status: int, after: bytes) -> None:
    talk = Conversation()
    assert len(statuses(talk.say(refused + after + GET, after, GET))) == 1
    assert talk.asked == []


def test_https_is_not_served_without_tls_rfc9110_7_4(talk: Conversation) -> None:
    for pieces in [GET + HTTPS], [HTTPS[:20], HTTPS[20:]], [HTTPS.replace(b"https", b"HTTPS")]:
        talk.renew()
        assert statuses(talk.say(*pieces))[-1] == 421
        assert talk.state() == (False, False, Waiting.NOTHING)


def test_https_without_tls_is_refused_before_its_body_is_asked_for_rfc9110_7_4(talk: Conversation) -> None:
    assert statuses(talk.say(EXPECTING.replace(b"/five", b"https://a/five"))) == [421]


@pytest.mark.parametrize("peer", [Peer(b"127.0.0.1", b"https"), GATEWAY])
def test_https_is_served_over_tls_and_to_a_trusted_gateway_and_remembered_for_no_other_rfc9110_7_4(peer: Peer) -> None:
    talk = Conversation()
    for _ in range(2):
        assert statuses(Protocol(talk.service, peer).receive(HTTPS * 3)) == [200] * 3
        for asked in HTTPS, HTTPS * 2:
            assert statuses(Protocol(talk.service, Peer(b"127.0.0.1")).receive(asked)) == [421]


def test_the_refusal_of_a_head_request_has_no_body_rfc9110_9_3_2(talk: Conversation) -> None:
    answer = talk.say(b"HEAD / HTTP/1.1\r\n\r\n")
    assert statuses(answer) == [400]
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "begun",
    [
        b"\x16",
        b"\x80",
        b" ",
        b"(",
        b"\x00",
        b"\n",
        b"\r\n ",
        b"\r\n\x16",
        b"GET /\n",
        b"GET / HTTP/1.1\r\nX\n",
        b"GET /\r\n",
        b"\r\nGET /\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET / HTTP/10.1\r\n",
    ],
)
def test_what_can_not_become_a_request_is_refused_at_once(talk: Conversation, begun: bytes) -> None:
    assert statuses(talk.say(begun)) == [400]


@pytest.mark.parametrize(
    "begun",
    [
        b"G",
        b"GE",
        b"GET",
        b"\r",
        b"\r\n",
        b"\r\nG",
        b"-",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\r\nX: \xff",
        b"GET /\r",
        b"GET / HTTP/2.0\r\n",
        b"BREW # HTTP/1.1\r\n",
    ],
)
def test_what_may_become_a_request_is_waited_for(talk: Conversation, begun: bytes) -> None:
    assert talk.say(begun) == b""
    assert talk.state() == (True, False, Waiting.HEAD)


# Limits, at each and one beyond, and also where the head never ends


@pytest.mark.parametrize("pieces", [at_once, by_bytes])
def test_a_request_line_may_be_as_long_as_the_limit_and_no_longer_rfc9112_3(pieces: Pieces) -> None:
    limits = Limits(request_line=len(b"GET / HTTP/1.1\r\n"))
    assert statuses(Conversation(limits).say(*pieces(GET))) == [200]
    assert statuses(Conversation(limits).say(*pieces(GET.replace(b"/ ", b"/a ")))) == [414]


def test_a_request_line_without_end_is_refused_when_it_is_too_long_rfc9112_3() -> None:
    talk = Conversation(Limits(request_line=100))
    assert talk.say(b"GET /".ljust(100, b"a")) == b""
    assert statuses(talk.say(b"a")) == [414]


@pytest.mark.parametrize("pieces", [at_once, by_bytes])
def test_a_head_may_be_as_large_as_the_limit_and_no_larger_rfc6585_5(pieces: Pieces) -> None:
    limits = Limits(head=len(GET))
    assert statuses(Conversation(limits).say(*pieces(GET))) == [200]
    assert statuses(Conversation(limits).say(*pieces(GET.replace(b": a", b": ab")))) == [431]


def test_a_head_without_end_is_refused_when_it_is_too_large_rfc6585_5() -> None:
    talk = Conversation(Limits(head=100))
    assert talk.say(b"GET / HTTP/1.1\r\nX: ".ljust(100, b"a")) == b""
    assert statuses(talk.say(b"a")) == [431]


def test_there_may_be_as_many_fields_as_the_limit_and_no_more_rfc6585_5() -> None:
    assert statuses(Conversation(Limits(fields=1)).say(GET)) == [200]
    assert statuses(Conversation(Limits(fields=1)).say(CLOSING)) == [431]


def test_a_body_may_be_as_long_as_the_limit_and_no_longer_rfc9110_15_5_14() -> None:
    assert statuses(Conversation(Limits(body=5)).say(POST + b"Hello")) == [200]
    assert statuses(Conversation(Limits(body=4)).say(POST + b"Hello")) == [413]
    assert statuses(Conversation(Limits(body=5)).say(CHUNKED + b"5\r\nHello\r\n0\r\n\r\n")) == [200]
    assert statuses(Conversation(Limits(body=4)).say(CHUNKED + b"5\r\nHello\r\n0\r\n\r\n")) == [413]


# Time and leaving


@pytest.mark.parametrize(
    ("begun", "what"), [(b"GET", b"head"), (GET + b"G", b"head"), (POST, b"body"), (CHUNKED + b"5", b"body")]
)
def test_a_request_that_does_not_end_in_time_is_told_so_rfc9110_15_5_9(
    talk: Conversation, begun: bytes, what: bytes
) -> None:
    talk.say(begun)
    answer = talk.protocol.expire()
    assert statuses(answer) == [408]
    assert answer.endswith(b"waited too long for the rest of a %b\n" % what)
    assert b"\r\nConnection: close\r\n" in answer
    assert (talk.state(), talk.say(GET)) == ((False, False, Waiting.NOTHING), b"")


@pytest.mark.parametrize("before", [b"", GET, CLOSING])
def test_between_requests_nothing_is_said_when_time_is_up_rfc9112_9_5(talk: Conversation, before: bytes) -> None:
    talk.say(before)
    assert talk.protocol.expire() == b""
    assert not talk.protocol.keep_alive
    assert talk.say(GET) == b""


@pytest.mark.parametrize("request_bytes", [GET, POST + b"Hello", b"\r\n" + GET])
@pytest.mark.parametrize("already", range(40))
def test_while_draining_the_next_answer_is_the_last_rfc9112_9_6(
    talk: Conversation, request_bytes: bytes, already: int
) -> None:
    already = min(already, len(request_bytes) - 1)
    assert talk.say(GET, GET, request_bytes[:already]) == answer_to((b"GET", b"/")) * 2
    talk.protocol.drain()
    answers = talk.say(request_bytes[already:] + GET, GET)
    assert answers.count(b"HTTP/1.1 200") == answers.count(b"Connection: close\r\n") == 1
    assert talk.state() == (False, False, Waiting.NOTHING)


def test_an_idle_connection_that_drains_waits_for_a_last_request(talk: Conversation) -> None:
    talk.protocol.drain()
    assert talk.protocol.waiting_for is Waiting.LAST
    assert talk.protocol.expire() == b""


def test_a_peer_that_is_told_of_the_close_may_say_more(talk: Conversation) -> None:
    talk.protocol.drain()
    talk.say(GET)
    assert talk.state() == (False, False, Waiting.NOTHING)


# Going on elsewhere


@pytest.mark.parametrize(
    ("begun", "waiting"),
    [(b"", Waiting.REQUEST), (GET, Waiting.REQUEST), (GET + GET[:10], Waiting.HEAD), (POST + b"He", Waiting.BODY)],
)
def test_a_connection_goes_on_elsewhere_with_what_it_waited_for(
    talk: Conversation, begun: bytes, waiting: Waiting
) -> None:
    talk.say(begun)
    there = Conversation()
    moved(talk.protocol, there)
    assert there.state() == talk.state() == (True, False, waiting)


@pytest.mark.parametrize("last", [CLOSING, CLOSING + GET, b"nonsense\r\n\r\n"])
def test_after_the_last_answer_nothing_is_received_elsewhere_either(talk: Conversation, last: bytes) -> None:
    talk.say(last)
    there = Conversation()
    moved(talk.protocol, there)
    assert there.state() == talk.state()
    assert there.say(GET) == b""


def test_a_body_goes_on_elsewhere_though_the_limits_of_heads_are_lower_there(talk: Conversation) -> None:
    talk.say(POST + b"He")
    there = Conversation(Limits(request_line=1, head=1, fields=0, field=1, body=1))
    moved(talk.protocol, there)
    assert there.say(b"llo") == answer_to((b"POST", b"/five"))


@pytest.mark.parametrize("begun", [b"HEAD / HTTP/1.1\r\nHos", GET + b"HEAD /", POST + b"He"])
def test_who_does_not_go_on_elsewhere_is_told_the_same_and_so_is_the_observer(begun: bytes) -> None:
    here, there = Conversation(observed=True), Conversation(observed=True)
    here.say(begun)
    moved(here.protocol, there, observed=True)
    assert there.protocol.expire() == here.protocol.expire()
    assert there.observed == here.observed[-1:]


# Observing


def test_the_observer_is_told_each_head_its_request_and_the_status() -> None:
    talk = Conversation(observed=True)
    talk.say(GET + POST, b"Hello", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + GET)
    heads = [(head, request and request.target, status) for head, request, status in talk.observed]
    assert heads == [
        (GET, b"/", 200),
        (POST, b"/five", 200),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", None, 400),
    ]


def test_the_observer_is_told_of_each_request_whether_it_is_remembered_or_not() -> None:
    talk = Conversation(observed=True)
    talk.say(GET, GET, GET, GET + GET)
    assert GET in talk.service.heads.remembered
    assert [head for head, _, _ in talk.observed] == [GET] * 5


def test_the_observer_is_told_of_a_head_that_never_ended() -> None:
    talk = Conversation(observed=True)
    talk.say(GET + b"GET /slow")
    talk.protocol.expire()
    assert talk.observed[-1] == (b"GET /slow", None, 408)


@pytest.mark.parametrize(
    ("said", "unanswered"),
    [
        (b"", (b"", False)),
        (GET, (b"", False)),
        (GET + b"GET /slow", (b"GET /slow", False)),
        (POST + b"He", (POST, True)),
        (POST + b"Hello", (b"", False)),
        (POST.replace(b"Host", b"Connection: close\r\nHost") + b"Hello" + GET, (b"", False)),
        (b"nonsense\r\n\r\n", (b"", False)),
    ],
)
def test_it_is_known_what_head_is_not_answered_and_whether_it_is_valid(
    talk: Conversation, said: bytes, unanswered: tuple[bytes, bool]
) -> None:
    talk.say(said)
    assert talk.protocol.unanswered == unanswered


# Any stream

GOOD = [
    GET,
    b"\r\n" + GET,
    CLOSING,
    b"GET /old HTTP/1.0\r\n\r\n",
    b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    POST + b"\r\n\r\nx",
    POST.replace(b": 5", b": 0"),
    EXPECTING + b"GET /",
    CHUNKED + b"3;x\r\n\r\n\r\r\n5\r\nGET /\r\n0\r\nX: 1\r\n\r\n",
]
ANY = [*GOOD, *GOOD, *(refused for refused, _ in REFUSED)]
cuts = st.lists(st.integers(0, 2000), max_size=10)


def streams(parts: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Join parts to streams, some of them without their end."""
    return st.builds(
        lambda chosen, lost: b"".join(chosen)[: -lost or None],
        st.lists(st.sampled_from(parts), min_size=1, max_size=6),
        st.just(0) | st.integers(0, 60),
    )


@given(stream=streams(GOOD), cuts=cuts)
def test_any_split_of_a_good_stream_gives_the_same_bytes(stream: bytes, cuts: list[int]) -> None:
    expected = Conversation().say(stream).replace(CONTINUE, b"")
    for pieces in split(stream, cuts), by_bytes(stream):
        assert Conversation().say(*pieces).replace(CONTINUE, b"") == expected


@given(stream=streams(ANY), cuts=cuts)
def test_any_split_of_any_stream_gives_the_same_answers(stream: bytes, cuts: list[int]) -> None:
    whole = Conversation()
    expected = statuses(whole.say(stream, b"\r\n\r\n").replace(CONTINUE, b""))
    for pieces in split(stream, cuts), by_bytes(stream):
        talk = Conversation()
        answers = talk.say(*pieces, b"\r\n\r\n").replace(CONTINUE, b"")
        assert (statuses(answers), talk.asked) == (expected, whole.asked)
        assert talk.protocol.keep_alive is whole.protocol.keep_alive


@given(stream=st.binary(max_size=40) | st.lists(st.sampled_from(ANY), max_size=3).map(b"".join), cuts=cuts)
def test_no_bytes_whatever_raise_anything(stream: bytes, cuts: list[int]) -> None:
    talk = Conversation()
    talk.say(*split(stream, cuts))
    assert talk.protocol.keep_alive is (talk.protocol.waiting_for is not Waiting.NOTHING)


@given(stream=streams(ANY), cuts=cuts, drain_after=st.integers(0, 10), expires=st.booleans())
def test_the_short_cut_for_remembered_heads_leads_to_what_the_long_way_does(
    stream: bytes, cuts: list[int], drain_after: int, *, expires: bool
) -> None:
    remembering, observed = Conversation(), Conversation(observed=True)
    for part in GOOD * 2:
        remembering.renew()
        remembering.say(part)
    remembering.renew()
    for number, piece in enumerate(split(stream, cuts)):
        if number == drain_after:
            remembering.protocol.drain()
            observed.protocol.drain()
        assert remembering.say(piece) == observed.say(piece)
        assert remembering.state() == observed.state()
        assert remembering.asked == observed.asked
    if expires:
        assert remembering.protocol.expire() == observed.protocol.expire()
        assert remembering.state() == observed.state()


@given(stream=streams(ANY), cuts=cuts)
def test_a_connection_that_moves_after_any_byte_gives_the_same_answers(stream: bytes, cuts: list[int]) -> None:
    whole = Conversation()
    expected = whole.say(*split(stream, cuts))
    here, asked, answers = Conversation(), list[Seen](), b""
    for piece in split(stream, cuts):
        answers += here.say(piece)
        asked += here.asked
        moved(here.protocol, here)
    assert (answers, asked + here.asked) == (expected, whole.asked)
    assert here.state() == whole.state()


@given(parts=st.lists(st.sampled_from(ANY), max_size=8))
def test_a_request_a_read_remembered_or_not_is_answered_as_in_one_read(parts: list[bytes]) -> None:
    one_by_one, whole = Conversation(), Conversation()
    assert statuses(one_by_one.say(*parts).replace(CONTINUE, b"")) == statuses(whole.say(b"".join(parts)))
    assert one_by_one.asked == whole.asked


@pytest.mark.parametrize("head", [part for part in GOOD if part.endswith(b"\r\n\r\n") and b"chunked" not in part])
def test_a_head_is_answered_the_third_time_as_it_was_the_first(talk: Conversation, head: bytes) -> None:
    seen = []
    for _ in range(3):
        talk.renew()
        seen.append((talk.say(head), talk.state(), list(talk.asked)))
    assert head in talk.service.heads.remembered
    assert seen == [seen[0]] * 3


def test_a_remembered_request_is_answered_with_the_bytes_of_this_second(talk: Conversation) -> None:
    for date in b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT":
        talk.service.renderer.set_date(date)
        for _ in range(3):
            assert b"\r\nDate: %b\r\n" % date in talk.say(GET)
    assert GET in talk.service.heads.remembered
    assert FRAMINGS[KEEP, False] in talk.service.renderer.rendered
