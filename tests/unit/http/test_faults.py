"""What a client is told of a head that the grammar doesn't match, and as soon as it can be told."""

import pytest

from prefork.http.faults import cannot_become_head, fault, malformed_line
from prefork.http.messages import Rejection

LINE = b"GET / HTTP/1.1\r\n"
HOST = b"Host: a\r\n"


def of_target(target: bytes, method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: a\r\n\r\n" % (method, target)


TLS = "TLS on a port that speaks plain HTTP"
PROXY = "PROXY header of an unknown proxy"
LINE_FEED = "bare line feed"
RETURN = "bare carriage return"
VERSION = "only HTTP/1.0 and HTTP/1.1 are served"
MALFORMED = "malformed request line"
NOT_ALLOWED = "method not allowed"
UNKNOWN = "method not implemented"
ASTERISK = "asterisk-form is for OPTIONS"
FRAGMENT = "fragment in the request target"
PERCENT = "malformed percent-encoding in the request target"
USER = "userinfo in the request target"
CHARACTER = "character not allowed in the request target"
TARGET = "invalid request target"
NUL = "NUL in a field line"
FOLDED = "folded field line"
SPACE = "white space before the colon of a field line"
CONTROL = "control character in a field line"
NAME = "invalid field name"


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (b"\x16\x03\x01\x02\x00", 400, TLS), (b"\r\n\x16\x03\x01", 400, TLS), (b"\x16\x02\n", 400, LINE_FEED),
        (b"x\x16\x03", 400, MALFORMED),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n", 400, PROXY), (b"PROXY UNKNOWN\r\n", 400, PROXY),
        (b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x00", 400, PROXY), (b"PROXY / HTTP/1.1\r\n\r\n", 501, UNKNOWN),
        (b"GET / HTTP/1.1\n", 400, LINE_FEED), (b"\n" + LINE, 400, LINE_FEED), (LINE + b"X: a\n\r\n", 400, LINE_FEED),
        (b"GET / HTTP/1.1\r\r\n", 400, RETURN), (LINE + b"X: a\rb\r\n\r\n", 400, RETURN), (LINE + b"X: a\r", 400, RETURN),
        (b"\r\n\r\n", 400, "more than one empty line before a request"),
        (b"GET / HTTP/2.0\r\n", 505, VERSION), (b"GET / HTTP/0.9\r\n", 505, VERSION), (b"PRI * HTTP/2.0\r\n\r\n", 505, VERSION),
        (b"GET / HTTP/9.9\r\n\r\n", 505, VERSION), (b"G /a b HTTP/2.0\r\n", 400, MALFORMED),
        (b"GET /\r\n", 400, MALFORMED), (b"GET  / HTTP/1.1\r\n\r\n", 400, MALFORMED), (b"GET / HTTP/1.1 \r\n\r\n", 400, MALFORMED),
        (b"GET / HTTP/1.10\r\n", 400, MALFORMED), (b"G(T / HTTP/1.1\r\n", 400, MALFORMED), (b"GET /\xe9 HTTP/1.1\r\n", 400, MALFORMED),
        (of_target(b"a:80", b"CONNECT"), 405, NOT_ALLOWED), (of_target(b"/", b"TRACE"), 405, NOT_ALLOWED),
        (of_target(b"/", b"TRACES"), 501, UNKNOWN), (of_target(b"/", b"XTRACE"), 501, UNKNOWN), (of_target(b"/", b"get"), 501, UNKNOWN), (of_target(b"/", b"GETS"), 501, UNKNOWN),
        (of_target(b"*"), 400, ASTERISK), (of_target(b"*", b"XOPTIONS"), 501, UNKNOWN), (of_target(b"**", b"OPTIONS"), 400, TARGET),
        (of_target(b"/#"), 400, FRAGMENT), (of_target(b"/a?b#c"), 400, FRAGMENT), (of_target(b"/a|#"), 400, FRAGMENT),
        (of_target(b"#"), 400, FRAGMENT), (of_target(b"%4"), 400, PERCENT), (of_target(b"<"), 400, CHARACTER),
        (of_target(b"/%"), 400, PERCENT), (of_target(b"/%4"), 400, PERCENT), (of_target(b"/a%41%g0"), 400, PERCENT),
        (of_target(b"http://user@a/"), 400, USER), (of_target(b"HTTPS://user:secret@a"), 400, USER),
        (of_target(b"http:///a@b"), 400, TARGET), (of_target(b"http://?a@b"), 400, TARGET),
        *((of_target(b"/a%cb" % each), 400, CHARACTER) for each in b'"<>\\^`{|}'),
        (of_target(b"/[a]"), 400, TARGET), (of_target(b"a:80"), 400, TARGET), (of_target(b"ftp://a/"), 400, TARGET),
        (of_target(b"http://"), 400, TARGET),
        (LINE + b"X: a #%zz <\x00\r\n\r\n", 400, NUL), (LINE + b"X: GET http://a@b\x00\r\n\r\n", 400, NUL),
        (LINE + b"X: a\x00\r\n\r\n", 400, NUL), (LINE + b"X\x00: \x01\r\n\r\n", 400, NUL),
        (LINE + b" Host: a\r\n\r\n", 400, FOLDED), (LINE + HOST + b"X: a\r\n\tb\r\n\r\n", 400, FOLDED),
        (LINE + b"X : a\r\n\r\n", 400, SPACE), (LINE + HOST + b"X\t \t: a\r\n\r\n", 400, SPACE),
        *((LINE + b"X: a%cb\r\n\r\n" % each, 400, CONTROL) for each in (1, 8, 11, 12, 14, 31, 127)),
        (LINE + b"X Y: a\r\n\r\n", 400, NAME), (LINE + b": a\r\n\r\n", 400, NAME), (LINE + b"X\r\n\r\n", 400, NAME),
        (LINE + b"X\xe9: \t\r\n\r\n", 400, NAME),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_the_first_thing_that_is_found(head: bytes, status: int, reason: str) -> None:
    assert fault(head).args == Rejection(status, reason).args


def test_of_a_malformed_request_line_nothing_is_told_that_follows_it() -> None:
    assert fault(b"GET /\r\nX: a\x00\r\n").reason == MALFORMED
    assert fault(b"\r\nGET /\r\nX: a\n").reason == MALFORMED


@pytest.mark.parametrize(
    "begun",
    [
        b"\x16", b"\x00", b"\xff", b" ", b"(", b"\r\n\x16", b"\n", b"GET /\n", b"GET /\r\n", b"\r\nGET /\r\n", LINE + b"X: a\n",
        b"GET / HTTP/1.1 \r\n", b"GET / FTP/1.1\r\n",
    ],
)  # fmt: skip
def test_what_can_not_become_a_head_is_known_before_it_is_whole(begun: bytes) -> None:
    assert cannot_become_head(begun)
    assert not cannot_become_head(begun[:-1]) or len(begun) == 1


@pytest.mark.parametrize(
    "begun",
    [b"", b"\r", b"\r\n", b"G", b"\r\nG", b"GET /", b"GET / HTTP/1.1\r", LINE, b"\r\n" + LINE, LINE + b"X : \x00", b"a b HTTP/2.0\r\n"],
)  # fmt: skip
def test_what_may_become_one_is_waited_for(begun: bytes) -> None:
    assert not cannot_become_head(begun)


@pytest.mark.parametrize("before", [b"", b"\r\n"])
def test_what_has_been_looked_at_is_not_looked_at_again(before: bytes) -> None:
    wrong = before + b"GET /\r\nX: a\n"
    assert cannot_become_head(wrong, len(wrong) - 1)
    assert not cannot_become_head(wrong, len(wrong))
    assert cannot_become_head(before + b"GET /\r\n", len(before) + len(b"GET /\r"))


@pytest.mark.parametrize("before", [b"", b"\r\n"])
def test_a_request_line_has_three_parts_and_is_judged_once_it_has_come(before: bytes) -> None:
    assert malformed_line(before + LINE + b"X") == b""
    assert malformed_line(before + b"GET / HTTP/1.1") == b""
    for line in b"GET /\r\n", b"G\r\n":
        assert malformed_line(before + line + b"X: a\r\n") == before + line
        assert cannot_become_head(before + line)
