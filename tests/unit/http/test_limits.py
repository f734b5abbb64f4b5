"""What a connection may ask for, in a turn and in all, and how large a line may be: the limit itself, and one more."""

from collections.abc import Callable

import pytest

from prefork.http.body import ChunkedBody
from prefork.http.content import drop
from prefork.http.messages import Limits, Peer, Rejection, Response
from prefork.http.protocol import Protocol
from prefork.http.service import Service
from prefork.http.waiting import Waiting

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
HELLO = Response(200, (), b"Hello")


def protocol(limits: Limits) -> Protocol:
    return Protocol(Service(lambda _request, _peer, _content: HELLO, limits), Peer(b"127.0.0.1"))


def head_with_field(length: int, *, plain: bool) -> bytes:
    """Return a head with a field line of so many bytes; one that isn't plain takes another way through the parser."""
    return (GET if plain else GET.replace(b"/1.1", b"/1.0"))[:-2] + b"X: ".ljust(length - 2, b"a") + b"\r\n\r\n"


@pytest.mark.parametrize("plain", [True, False])
def test_a_field_may_be_as_long_as_the_limit_and_no_longer_rfc6585_5(*, plain: bool) -> None:
    limits = Limits(field=100)
    assert protocol(limits).receive(head_with_field(100, plain=plain)).startswith(b"HTTP/1.1 200")
    assert protocol(limits).receive(head_with_field(101, plain=plain)).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_the_limit_of_a_field_is_for_the_first_too_and_for_no_request_line(version: bytes) -> None:
    limits = Limits(field=50)
    line = b"GET /".ljust(100, b"a") + b" %b\r\n" % version
    assert protocol(limits).receive(line + b"Host: a\r\n\r\n").startswith(b"HTTP/1.1 200")
    for length, answer in (50, b"HTTP/1.1 200"), (51, b"HTTP/1.1 431"):
        head = line + b"X: ".ljust(length - 2, b"a") + b"\r\nHost: a\r\n\r\n"
        assert protocol(limits).receive(head).startswith(answer)


@pytest.fixture(params=["at once", "by bytes"])
def status_of(request: pytest.FixtureRequest) -> Callable[[bytes, Limits], int]:
    """Return what sends bytes and returns the status of the first answer, 0 as long as there is none."""

    def send(data: bytes, limits: Limits) -> int:
        talk = protocol(limits)
        pieces = [data] if request.param == "at once" else [data[at : at + 1] for at in range(len(data))]
        return int(b"".join(map(talk.receive, pieces))[9:12] or b"0")

    return send


StatusOf = Callable[[bytes, Limits], int]
BEFORE = [b"", b"\r\n"]


@pytest.mark.parametrize("before", BEFORE)
def test_a_request_line_may_be_as_long_as_the_limit_and_no_longer_rfc9112_3(before: bytes, status_of: StatusOf) -> None:
    limits = Limits(request_line=100)
    for length, expected in (100, 200), (101, 414):
        line = b"GET /".ljust(length - 11, b"a") + b" HTTP/1.1\r\n"
        assert status_of(before + line + b"Host: a\r\n\r\n", limits) == expected
    for length, expected in (100, 0), (101, 414):
        assert status_of(before + b"GET /".ljust(length, b"a"), limits) == expected


@pytest.mark.parametrize("before", BEFORE)
def test_a_head_may_be_as_long_as_the_limit_and_no_longer_rfc6585_5(before: bytes, status_of: StatusOf) -> None:
    limits, begun = Limits(head=100), before + GET[:-2] + b"X: "
    for length, expected in (100, 200), (101, 431):
        assert status_of(begun.ljust(length - 4, b"a") + b"\r\n\r\n", limits) == expected
    for length, expected in (100, 0), (101, 431):
        assert status_of(begun.ljust(length, b"a"), limits) == expected


@pytest.mark.parametrize("before", BEFORE)
def test_what_is_wrong_within_a_limit_is_told_and_what_follows_it_is_not_looked_at(
    before: bytes, status_of: StatusOf
) -> None:
    line, field = before + b"GET /", before + GET[:-2] + b"X: "
    for begun, limits, limit, too_long in (
        (line, Limits(request_line=20), len(before) + 20, 414),
        (field, Limits(head=60), 60, 431),
    ):
        for at, expected in (limit - 1, 400), (limit, too_long):
            assert status_of(begun.ljust(at, b"a") + b"\n" + b"a" * 9, limits) == expected


def test_the_extensions_of_a_body_may_be_as_long_as_the_limit_and_no_longer_rfc9112_7_1_1() -> None:
    assert ChunkedBody(10, extensions_left=2).feed(b"1;a\r\nx\r\n0\r\n\r\n", drop) == b""
    with pytest.raises(Rejection, match="extensions"):
        ChunkedBody(10, extensions_left=1).feed(b"1;a\r\nx\r\n0\r\n\r\n", drop)


@pytest.mark.parametrize("request_", [GET, POST + b"12"])
def test_so_many_pipelined_requests_are_answered_in_a_turn_and_the_others_in_the_next(request_: bytes) -> None:
    talk = protocol(Limits(pipelined=3))
    turns = (request_ * 3, request_ * 7 + request_[:5], b"", b"", request_[5:])
    answers = [(talk.receive(data).count(b"HTTP/1.1 200"), talk.behind) for data in turns]
    assert answers == [(3, False), (3, True), (3, True), (1, False), (1, False)]


@pytest.mark.parametrize("request_", [GET, POST + b"12"])
@pytest.mark.parametrize("requests", [1, 2, 5])
def test_the_last_request_that_a_connection_may_have_ends_it_rfc9112_9_6(request_: bytes, requests: int) -> None:
    talk = protocol(Limits(requests=requests))
    for _ in range(requests - 1):
        assert b"Connection: close" not in talk.receive(request_)
    assert b"Connection: close" in talk.receive(request_)
    assert not talk.keep_alive
    assert talk.receive(request_) == b""


def test_of_a_pipelined_batch_no_more_are_answered_than_a_connection_may_have() -> None:
    answers = protocol(Limits(requests=3)).receive(GET * 5)
    assert (answers.count(b"HTTP/1.1 200"), answers.count(b"Connection: close")) == (3, 1)


@pytest.mark.parametrize("answered", [1, 3, 4])
def test_a_connection_that_moves_may_have_no_more_requests_than_one_that_stays(answered: int) -> None:
    talk, there = protocol(Limits(requests=5)), protocol(Limits(requests=5))
    for _ in range(answered):
        talk.receive(GET)
    there.resume(talk.leave())
    closing = [b"Connection: close" in there.receive(GET) for _ in range(5 - answered)]
    assert closing == [False] * (4 - answered) + [True]


def test_a_connection_that_moves_to_where_fewer_are_allowed_ends_with_its_next_answer() -> None:
    talk, there = protocol(Limits(requests=5)), protocol(Limits(requests=2))
    for _ in range(4):
        talk.receive(GET)
    there.resume(talk.leave())
    assert there.waiting_for is Waiting.LAST
    assert b"Connection: close" in there.receive(GET)


def test_what_is_refused_is_counted_by_status_and_reason() -> None:
    service = Service(lambda _request, _peer, _content: HELLO, Limits(field=100))
    for request in (b"x\r\n\r\n", head_with_field(101, plain=True), b"y\r\n\r\n", GET):
        Protocol(service, Peer(b"127.0.0.1")).receive(request)
    assert service.refused == {(400, "malformed request line"): 2, (431, "field line too long"): 1}
