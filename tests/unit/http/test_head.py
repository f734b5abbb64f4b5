"""Heads, parsed by the grammar of RFC 9112 and no more leniently.

The grammar is written down here a second time, as regular expressions; what the parser accepts is compared with it.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.http.grammar import METHODS
from prefork.http.head import HeadParser
from prefork.http.messages import Fields, Limits, Rejection, Request
from tests.unit.http.heads import GET, POST, outcome, told


def parse(head: bytes, limits: Limits | None = None) -> Request:
    return HeadParser(limits or Limits()).parse(head)


def refusal(head: bytes, limits: Limits | None = None) -> int:
    with pytest.raises(Rejection) as caught:
        parse(head, limits)
    return caught.value.status


# The request line


def test_a_request_is_its_method_target_version_and_fields_in_order() -> None:
    request = parse(b"GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nX-One: 1\r\nx-two: 2\r\nX-One: 3\r\n\r\n")
    assert (request.method, request.target, request.minor) == (b"GET", b"/a?b=c", 1)
    assert request.fields == ((b"host", b"example.org"), (b"x-one", b"1"), (b"x-two", b"2"), (b"x-one", b"3"))
    assert (request.body_length, request.expects_continue) == (0, False)


@pytest.mark.parametrize(
    "target",
    [
        b"/", b"/a/b", b"/?", b"/a?b=c&d", b"//a", b"/%41", b"/;a=b", b"/a:b@c!$&'()*+,", b"/?a/b?c=%0a", b"/~a_b-c.d",
        b"/?a[b]=c", b"/%e2%82%AC?%00", b"/a//b/../c",
        b"http://a", b"http://a/", b"http://a:80/b?c", b"https://a/", b"http://[::1]:80/",
        b"HTTP://a/", b"hTTpS://a/",  # RFC 9110 §4.2.3: the scheme is case-insensitive
    ],
)  # fmt: skip
def test_origin_form_and_absolute_form_are_served_rfc9112_3_2(target: bytes) -> None:
    assert parse(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target).target == target


@pytest.mark.parametrize(
    "target",
    [
        b"a", b"a/b", b"?", b"a:80", b"ftp://a/", b"httpx://a", b"http:/a", b"http:", b"*/", b"**", b"/\x7f",
        b"/\xe9", b"/\x01", b"/#", b"/a#b", b"/?a#b", b'/"', b"/<", b"/>", b"/?a>", b"/\\", b"/^", b"/`", b"/{",
        b"/|", b"/}", b"/[a]", b"/%", b"/%4", b"/%zz", b"/%%41", b"/?%", b"/?%g0", b"http://a#b", b"http://a/%zz",
        b"http://a b/", b"http://a?{", b"http://user@a/", b"http://user:secret@a/", b"http://a:b/", b"http://[::1/",
        b"http://[1]/", b"http://a\\b/", b"http://%zz/",
    ],
)  # fmt: skip
def test_any_other_target_is_refused_rfc9112_3_2(target: bytes) -> None:
    assert refusal(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target) == 400


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"/", b"a:80"), (b"/http://b/", b"a:80"), (b"http://b", b"b"), (b"http://b:81?c", b"b:81"), (b"HTTPS://b/c//d", b"b"),
        (b"http://[::1]:80/", b"[::1]:80"), (b"http://b?http://c/", b"b"), (b"http://B%62/", b"B%62"),
    ],
)  # fmt: skip
def test_the_host_of_absolute_form_wins_over_the_field_rfc9112_3_2_2(target: bytes, host: bytes) -> None:
    assert parse(b"GET %b HTTP/1.1\r\nHost: a:80\r\n\r\n" % target).host == host


def test_the_host_of_asterisk_form_is_that_of_the_field_rfc9112_3_3() -> None:
    assert parse(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").host == b"a"


@pytest.mark.parametrize("target", [b"http://", b"http:///a", b"http://?a", b"https://:80/", b"http://#", b"HTTP://"])
def test_an_http_target_without_a_host_is_refused_rfc9110_4_2_1(target: bytes) -> None:
    assert refusal(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target) == 400


def test_asterisk_form_is_for_options_rfc9112_3_2_4() -> None:
    assert parse(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").target == b"*"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
def test_asterisk_form_is_for_nothing_else_rfc9112_3_2_4(method: bytes) -> None:
    assert refusal(method + b" * HTTP/1.1\r\nHost: a\r\n\r\n") == 400


@pytest.mark.parametrize(("version", "minor"), [(b"1.0", 0), (b"1.1", 1), (b"1.2", 1), (b"1.9", 1)])
def test_every_1_x_is_served_as_the_highest_that_is_known_rfc9110_2_5(version: bytes, minor: int) -> None:
    assert parse(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version).minor == minor


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", b"GET / HTTP/0.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"]
)
def test_another_major_version_is_not_supported_rfc9110_15_6_6(head: bytes) -> None:
    assert refusal(head) == 505


@pytest.mark.parametrize(
    "line", [b"CONNECT a:443 HTTP/1.1", b"TRACE / HTTP/1.1", b"TRACE http://a/ HTTP/1.1", b"TRACE / HTTP/1.0"]
)
def test_connect_and_trace_are_not_allowed_rfc9110_15_5_6(line: bytes) -> None:
    assert refusal(line + b"\r\nHost: a:443\r\n\r\n") == 405


@pytest.mark.parametrize("method", METHODS)
def test_every_registered_method_but_those_reaches_the_application_rfc9110_16_1(method: bytes) -> None:
    assert parse(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n").method == method


@pytest.mark.parametrize(
    "method",
    [
        b"SETUP",
        b"PLAY",
        b"FLUSH",
        b"SOURCE",
        b"PRI",
        b"Get",
        b"POSTS",
        b"FOO",
        b"get",
        b"GETS",
        b"G",
        b"!#$%&'*+.^_`|~-",
    ],
)
def test_an_unknown_method_is_not_implemented_rfc9110_9_1(method: bytes) -> None:
    assert refusal(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n") == 501


@pytest.mark.parametrize(
    "line",
    [
        b"", b"GET", b"GET /", b"GET / ", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b"GET / HTTP/1.1 ", b" GET / HTTP/1.1",
        b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1", b"GET /a b HTTP/1.1", b"GET / HTTP/1.", b"GET / HTTP/11", b"GET / HTTP/1.10",
        b"GET / http/1.1", b"GET / HTTP /1.1", b"GET / HTTPS/1.1", b"GET / RTSP/1.0", b"GET / HTTP/1,1", b"GET / HTTP/-1.1",
        b"G(T / HTTP/1.1", b"G:T / HTTP/1.1", b"\xc3 / HTTP/1.1", b" / HTTP/1.1", b"GET HTTP/1.1", b"GET / HTTP/1.1\r",
        b"GET\x00 / HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET / HTTP/1.1\x00", b"GET / HTTP/1.1\n", b"GET /\r HTTP/1.1",
        b"GET / HTTP/\xb2.1",
    ],
)  # fmt: skip
def test_a_malformed_request_line_is_refused_rfc9112_3(line: bytes) -> None:
    assert refusal(b"\r\n" + line + b"\r\nHost: a\r\n\r\n") == 400


def test_a_line_ended_by_a_bare_line_feed_is_refused_though_rfc9112_2_2_would_allow_it() -> None:
    assert refusal(b"GET / HTTP/1.1\nHost: a\r\n\r\n") == 400


def test_one_empty_line_before_the_request_line_is_overlooked_rfc9112_2_2() -> None:
    assert told(parse(b"\r\n" + GET + b"\r\n")) == told(parse(GET + b"\r\n"))


def test_two_empty_lines_are_a_malformed_request() -> None:
    assert outcome(parse, b"\r\n\r\n") == (400, "more than one empty line before a request")


# The field lines


@pytest.mark.parametrize(
    "line",
    [
        b"X : a", b"X\t: a", b" X: a", b"X", b": a", b"X Y: a", b"X\r: a", b"X: a\rb", b"X: a\r", b"X: a\nY: b",
        b"X: a\n", b"\nX: a", b"X: a\x00", b"X\x00: a", b"(X): a", b"X@: a", b'"X": a', b"X\x7f: a", b"X\xe9: a",
        b"X: a\x7f", b"X: a\x0b", b"X: a\x0c", b"X: a\x1b[0m", b"X: a\x08",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [b"GET / HTTP/1.1\r\n", GET])
def test_a_malformed_field_line_is_refused_rfc9112_5(before: bytes, line: bytes) -> None:
    assert refusal(before + line + b"\r\nHost: b\r\n\r\n") == 400


@pytest.mark.parametrize("folded", [b"X: a\r\n b", b"X: a\r\n\tb", b"X:\r\n b", b"X: a\r\n ", b"X:\r\n\t"])
def test_a_folded_line_is_refused_rfc9112_5_2(folded: bytes) -> None:
    assert refusal(GET + folded + b"\r\n\r\n") == 400


@pytest.mark.parametrize("folded", [b"Content-Length: 5\r\n 6", b"Transfer-Encoding:\r\n chunked", b"Host: a\r\n\tb"])
def test_a_folded_line_is_refused_in_what_frames_the_message_too_rfc9112_5_2(folded: bytes) -> None:
    assert refusal(b"POST / HTTP/1.1\r\n" + folded + b"\r\n\r\n") == 400


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"X:a", b"a"), (b"X: a", b"a"), (b"X:\t a \t", b"a"), (b"X:", b""), (b"X: \t ", b""), (b"X: a  b", b"a  b"),
        (b"X: a\tb", b"a\tb"), (b"X: \xe9\x80\xff", b"\xe9\x80\xff"), (b"X: a:b: c", b"a:b: c"), (b'X: ("\\)', b'("\\)'),
    ],
)  # fmt: skip
def test_white_space_around_a_value_is_not_part_of_it_rfc9112_5_1(line: bytes, value: bytes) -> None:
    assert parse(GET + line + b"\r\nY: 1\r\n\r\n").fields[1:] == ((b"x", value), (b"y", b"1"))


FIELD_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*\r\n"
)


def fields_by_grammar(lines: bytes) -> Fields | None:
    """Return the field lines by RFC 9112 §5 and RFC 9110 §5.5, None where they are malformed."""
    found, at = [], 0
    while at < len(lines):
        match = FIELD_LINE.match(lines, at)
        if match is None:
            return None
        found.append((match[1].lower(), match[2]))
        at = match.end()
    return tuple(found)


ODD_BYTES = [bytes([each]) for each in b'aX-:: \t\r\n\0\x01\x7f\x80\xff(,;="\\']
ODD_LINES = [b"\r\n", b"\r\n", b"X: a\r\n", b"Y:\r\n", b"\r\n ", b"\n\n", b"\r\r", b"Cookie", b"Upgrade: x\r\n"]


@given(st.lists(st.sampled_from(ODD_BYTES + ODD_LINES) | st.binary(max_size=3), max_size=12).map(b"".join))
def test_field_lines_are_accepted_and_read_as_the_grammar_says(lines: bytes) -> None:
    head = (GET + lines + b"\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    expected = fields_by_grammar(head.removeprefix(b"GET / HTTP/1.1\r\n").removesuffix(b"\r\n"))
    if expected is None:
        assert refusal(head) == 400
    else:
        assert parse(head).fields == expected


@pytest.mark.parametrize("byte", range(256))
def test_a_field_name_consists_of_token_characters_rfc9110_5_6_2(byte: int) -> None:
    head = GET + b"X%cY\r\n\r\n" % byte if byte == ord(":") else GET + b"X%cY: 1\r\n\r\n" % byte
    is_token = re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z:-]", bytes([byte])) is not None
    assert is_token is (outcome(HeadParser(Limits()).parse, head).__class__ is dict)


# What frames the body: the ways of smuggling


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length : 5\r\n",
        b"Transfer-Encoding : chunked\r\n", b"\tTransfer-Encoding: chunked\r\n",
        b"X: a\rTransfer-Encoding: chunked\r\n", b"X: a\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding\n: chunked\r\n",
    ],
)  # fmt: skip
def test_framing_that_others_may_see_where_there_is_none_is_refused_rfc9112_5_1(lines: bytes) -> None:
    assert refusal(POST + lines + b"\r\n") == 400


FRAMING_LINES = [
    b"Content-Length: 5", b"content-length:5", b"Content-Length: 05 ", b"Content-Length: 0", b"Content-Length: 5,5",
    b"Content-Length: +5", b"Content-Length:", b"Content-Length: 5\t", b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked", b"transfer-encoding:\tChunked ", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding:",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: chunked, chunked", b"Content_Length: 9", b"Content-Lengt: 9", b"Content-Length2: 9", b"Connection: close",
    b"Connection: upgrade", b"Upgrade: h2c", b"Connection: Transfer-Encoding", b"Expect: 100-continue",
]  # fmt: skip


@given(lines=st.lists(st.sampled_from(FRAMING_LINES), max_size=4), minor=st.sampled_from([0, 1]))
def test_what_is_accepted_has_one_framing_that_all_agree_about_rfc9112_6_3(lines: list[bytes], minor: int) -> None:
    fields = fields_by_grammar(b"".join(line + b"\r\n" for line in lines))
    assert fields is not None
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if not codings and (not lengths or (len(lengths) == 1 and re.fullmatch(rb"[0-9]{1,18}", lengths[0]))):
        framing: object = int(lengths[0]) if lengths else 0
    elif not lengths and [coding.lower() for coding in codings] == [b"chunked"] and minor == 1:
        framing = None
    else:
        framing = "refused"
    head = b"POST / HTTP/1.%d\r\nHost: a\r\n" % minor + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    try:
        seen: object = parse(head).body_length
    except Rejection:
        seen = "refused"
    assert seen == framing


@pytest.mark.parametrize("line", [b"X-%b\r\n", b"%b-X: b\r\n", b"X%b\r\n", b"X: %b\r\n", b"X: a:%b\r\n"])
@pytest.mark.parametrize(
    "field",
    [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: b", b"Connection: close", b"Expect: 100-continue"],
)
def test_what_only_contains_a_name_that_means_something_means_nothing_rfc9110_5_1(line: bytes, field: bytes) -> None:
    name = field.partition(b":")[0]
    request = parse(POST + line % (name if line.startswith(b"%b") else field) + b"\r\n")
    assert (request.body_length, request.expects_continue, request.framing.keep_alive) == (0, False, True)
    assert request.host == b"a"


def test_upgrade_is_ignored_rfc9110_7_8() -> None:
    request = parse(GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n")
    assert (request.body_length, request.framing.keep_alive) == (0, True)


def test_upgrade_does_not_take_the_body_away_rfc9110_7_8() -> None:
    assert parse(POST + b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\n").body_length == 5


# Limits


@pytest.mark.parametrize(
    ("limits", "beyond", "status"),
    [
        (Limits(request_line=len(b"GET / HTTP/1.1\r\n")), b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (Limits(head=len(GET + b"\r\n")), GET.replace(b"Host: a", b"Host: ab") + b"\r\n", 431),
        (Limits(fields=1), GET + b"X: 1\r\n\r\n", 431),
    ],
)
def test_a_limit_may_be_reached_and_not_passed(limits: Limits, beyond: bytes, status: int) -> None:
    assert parse(GET + b"\r\n", limits).target == b"/"
    assert refusal(beyond, limits) == status
