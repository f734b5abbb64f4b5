"""What a parser keeps between heads changes nothing about them: it serves many, and remembers what comes again."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.http.head import LONGEST_REMEMBERED, MARKS, MOST_REMEMBERED, HeadParser, Heads
from prefork.http.messages import CLOSE, FRAMINGS, KEEP, Limits, Request
from tests.unit.http.heads import GET, POST, outcome

HEADS = [
    GET + b"\r\n",
    b"\r\n" + GET + b"\r\n",
    b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    GET + b"Connection: close\r\n\r\n",
    GET + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n",
    POST + b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 7\r\n\r\n",
    POST + b"Content-Length: 5\r\n\r\n",
    POST + b"Content-Length: 5\r\nExpect: more\r\n\r\n",
    POST + b"Content-Length: 1000\r\nHost: a\r\n\r\n",
    POST + b"Content-Length: 1234567890123456789\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nExpect: more\r\n\r\n",
    POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST * HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    b"CONNECT http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\n",
    b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    GET + b"X: 1\r\n" * 101 + b"\r\n",
    GET + b"X: %b\r\n\r\n" % (b"x" * 3000),
    b"nonsense\r\n\r\n",
    b"\r\n\r\n",
]


@given(st.lists(st.sampled_from(HEADS), max_size=8), st.sampled_from(HEADS))
def test_what_was_parsed_before_changes_nothing_about_a_head(before: list[bytes], head: bytes) -> None:
    parser = HeadParser(Limits())
    for each in before:
        outcome(parser.parse, each)
    assert outcome(parser.parse, head) == outcome(HeadParser(Limits()).parse, head)


# What is remembered


@pytest.mark.parametrize("head", HEADS)
def test_a_remembered_head_says_what_a_parsed_one_does(head: bytes) -> None:
    heads = Heads(Limits())
    assert [outcome(heads.get, head) for _ in range(4)] == [outcome(HeadParser(Limits()).parse, head)] * 4


@given(st.lists(st.sampled_from(HEADS), max_size=20))
def test_memory_and_parser_agree_in_any_order(heads: list[bytes]) -> None:
    remembering = Heads(Limits())
    assert [outcome(remembering.get, head) for head in heads] == [
        outcome(HeadParser(Limits()).parse, head) for head in heads
    ]


@pytest.mark.parametrize("get", [Heads.get, Heads.get_plain])
def test_a_head_is_remembered_from_its_second_time_on(get: Callable[[Heads, bytes], Request | None]) -> None:
    heads = Heads(Limits())
    first = get(heads, GET + b"\r\n")
    assert heads.remembered == {}
    second = get(heads, GET + b"\r\n")
    assert heads.remembered == {GET + b"\r\n": second}
    assert heads.get(GET + b"\r\n") is second is not first


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Content-Length: 5\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        GET + b"X: %b\r\n\r\n" % (b"x" * LONGEST_REMEMBERED),
    ],
)
def test_heads_with_a_body_and_long_ones_are_not_remembered(head: bytes) -> None:
    heads = Heads(Limits())
    for _ in range(3):
        heads.get(head)
    assert heads.remembered == {}


def test_refused_heads_are_not_remembered() -> None:
    heads = Heads(Limits())
    for _ in range(3):
        outcome(heads.get, b"GET / HTTP/1.1\r\n\r\n")
    assert heads.remembered == {}


def test_memory_is_bounded_however_many_heads_there_are() -> None:
    heads = Heads(Limits())
    for number in range(2 * MOST_REMEMBERED):
        head = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number
        assert heads.get(head).target == heads.get(head).target == b"/%d" % number
        assert len(heads.remembered) == number % MOST_REMEMBERED + 1
        assert len(heads._marks) == MARKS


def test_what_fields_mean_is_remembered_within_bounds() -> None:
    parser = HeadParser(Limits())
    for number in range(MOST_REMEMBERED + 1):
        parser.parse(b"POST / HTTP/1.1\r\nHost: a%d\r\n\r\n" % number)
        assert len(parser._meanings) == number % MOST_REMEMBERED + 1
    parser._meanings.clear()
    parser.parse(b"POST / HTTP/1.1\r\nHost: %b\r\n\r\n" % (b"a" * (LONGEST_REMEMBERED + 1)))
    assert parser._meanings == {}


def test_what_fields_mean_depends_on_method_and_version() -> None:
    parser, lines = HeadParser(Limits()), b"Host: a\r\nConnection: x\r\n\r\n"
    for method in (b"GET", b"HEAD") * 2:
        newer = parser.parse(method + b" / HTTP/1.1\r\n" + lines)
        older = parser.parse(method + b" / HTTP/1.0\r\n" + lines)
        assert newer.framing is FRAMINGS[KEEP, method == b"HEAD"]
        assert older.framing is FRAMINGS[CLOSE, method == b"HEAD"]
    assert len(parser._meanings) == 4
