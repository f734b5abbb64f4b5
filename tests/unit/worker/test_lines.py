"""The access log's lines: each format, each directive, and whatever a peer sends stays within its quotes."""

import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.config.keys import KEYS
from prefork.worker.lines import AT_THE_END, LARGEST_REMEMBERED, MOST_REMEMBERED, OF_THE_HEAD, Lines, Sent, escaped
from tests.unit.journald import parsed

HEAD = b"GET /a?b HTTP/1.1\r\nHost: h\r\nReferer: http://x/\r\nUser-Agent: curl/8\r\nReferer: second\r\n\r\n"
WHEN = 971186136.9
SENT = Sent(200, 2326, 2500, 0.0015004, complete=True)
CUT = Sent(499, 0, 0, 0.0, complete=False)
QUOTED = rb'"(?:[ !#-\[\]-~]|\\["\\bnrtv]|\\x[0-9a-f]{2})+"'


def line(
    pattern: str, head: bytes = HEAD, sent: Sent = SENT, *, valid: bool = True, client: bytes = b"192.0.2.7"
) -> bytes:
    lines = Lines(pattern)
    return lines.line(lines.known(head, valid=valid).template, client, sent, WHEN)


def test_a_combined_line_is_as_apache_writes_it() -> None:
    common = b'192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b HTTP/1.1" 200 2326'
    assert line("common") == common + b"\n"
    assert line("combined") == common + b' "http://x/" "curl/8"\n'


def test_a_json_line_has_numbers_as_numbers() -> None:
    assert json.loads(line("json")) == {
        "time": "2000-10-10T13:55:36Z",
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/a?b",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 2326,
        "sent": 2500,
        "duration_us": 1500,
        "complete": True,
        "host": "h",
        "referer": "http://x/",
        "user_agent": "curl/8",
        "pid": os.getpid(),
    }


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("%h|%a|%l|%u", b"192.0.2.7|192.0.2.7|-|-"),
        ("%m %U %q %H", b"GET /a ?b HTTP/1.1"),
        ("%s %>s %b %B %O %D %X", b"200 200 2326 2326 2500 1500 +"),
        ("%{host}i 100%% %{X-None}i %s", b"h 100% - 200"),
        ("%D", b"1500"),
        ("%m", b"GET"),
        ("é %h", "é 192.0.2.7".encode()),
    ],
)
def test_each_directive_stands_for_what_apache_says(pattern: str, expected: bytes) -> None:
    assert line(pattern) == expected + b"\n"


def test_each_directive_can_be_configured_and_nothing_else() -> None:
    parse = KEYS["access_log_format"].option.kind.parse
    for letter in {*OF_THE_HEAD, *filter(None, AT_THE_END)}:
        assert parse(f"%{letter}") == f"%{letter}"
        line(f"%{letter}")
    for mistake in ("", "plain", "%", "%z", "%s %", "%{}i", "%{a b}i", "%{a}o", "%s\n", "%>b", "%s\x1b"):
        with pytest.raises(ValueError, match="expected"):
            parse(mistake)


def test_what_is_missing_is_a_dash() -> None:
    assert line("combined", b"", CUT, valid=False, client=b"") == (
        b'- - - [10/Oct/2000:13:55:36 +0000] "-" 499 - "-" "-"\n'
    )
    assert line("%X", sent=CUT) == b"X\n"
    assert json.loads(line("json", b"", CUT, valid=False))["complete"] is False


@pytest.mark.parametrize("rest", [b"\r\nHost: a\r\n b: c\r\n\r\n", b"\r\nHost: a"], ids=["refused", "not whole"])
def test_the_parts_of_a_first_line_that_is_well_formed_are_told_whatever_follows(rest: bytes) -> None:
    told = json.loads(line("json", b"GET /a?b HTTP/1.1" + rest, CUT, valid=False))
    assert [told[each] for each in ("method", "target", "protocol", "host")] == ["GET", "/a?b", "HTTP/1.1", ""]


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        (b"GET /a HTTP/1.0", b"GET|/a|-|HTTP/1.0"),
        (b"GET /a?b=c?d HTTP/1.1", b"GET|/a|?b=c?d|HTTP/1.1"),
        (b"GET /? HTTP/1.1", b"GET|/|?|HTTP/1.1"),
        (b"OPTIONS * HTTP/1.1", b"OPTIONS|*|-|HTTP/1.1"),
        (b"GET http://a/b?c HTTP/1.1", b"GET|http://a/b|?c|HTTP/1.1"),
        (b"GET /a b HTTP/1.1", b"-|-|-|-"),
        (b"GET /a HTTP/1.1 ", b"-|-|-|-"),
        (b"GET /a\nb HTTP/1.1", b"-|-|-|-"),
        (b"GET", b"-|-|-|-"),
    ],
)
def test_a_target_is_a_path_and_a_query(asked: bytes, parts: bytes) -> None:
    assert line("%m|%U|%q|%H", asked + b"\r\n\r\n", valid=False) == parts + b"\n"


def test_a_first_line_ends_with_any_line_feed() -> None:
    assert line("%r", b"GET /a\nHost: a\r\n\r\n", valid=False) == b"GET /a\n"


def test_of_a_refused_head_only_its_first_line_is_told() -> None:
    head = b"\r\n\nGET /a  HTTP/1.1\r\nReferer: http://x/\r\n\r\n"
    assert line('"%r" "%m" "%{Referer}i"', head, valid=False) == b'"GET /a  HTTP/1.1" "-" "-"\n'


def test_what_a_client_sends_is_escaped_as_apache_does() -> None:
    head = b'GET / HTTP/1.1\r\nA: a"b\\c\t\x80\xff%s%%b\r\n\r\n'
    assert line("%{A}i %s", head) == rb"a\"b\\c\t\x80\xff%s%%b 200" + b"\n"


def test_the_common_controls_have_names_as_apache_gives_them() -> None:
    assert escaped(b'\b\n\r\t\v"\\\x00\x1b\x7f\xff !') == r"\b\n\r\t\v\"\\\x00\x1b\x7f\xff !"


@given(st.binary(), st.booleans())
def test_any_bytes_make_one_line_with_three_quoted_fields(head: bytes, valid: bool) -> None:  # noqa: FBT001
    made = line("combined", head, valid=valid)
    assert re.fullmatch(rb"192\.0\.2\.7 - - \[[^]]+\] %b 200 2326 %b %b\n" % (QUOTED, QUOTED, QUOTED), made)


@given(st.binary(max_size=50), st.booleans())
def test_any_bytes_make_one_line_of_json(value: bytes, valid: bool) -> None:  # noqa: FBT001
    made = line("json", b"GET / HTTP/1.1\r\nReferer: %b\r\n\r\n" % value, valid=valid)
    assert made.count(b"\n") == 1
    assert re.fullmatch(rb"[ -~]+\n", made)
    assert json.loads(made)["status"] == 200


def test_what_is_remembered_of_heads_is_bounded() -> None:
    lines = Lines("combined")
    for number in range(MOST_REMEMBERED * 2 + 1):
        lines.known(b"GET /%d HTTP/1.1\r\n\r\n" % number, valid=True)
    assert len(lines._remembered) <= MOST_REMEMBERED
    before = len(lines._remembered)
    lines.known(b"GET /%b HTTP/1.1\r\n\r\n" % (b"x" * LARGEST_REMEMBERED), valid=True)
    assert len(lines._remembered) == before


def test_a_refused_head_is_not_remembered_as_a_valid_one_would_be() -> None:
    lines = Lines("%m %{Referer}i")
    assert lines.known(HEAD, valid=False).template != lines.known(HEAD, valid=True).template


def test_an_entry_of_the_journal_has_the_line_as_its_message_and_fields_to_search_for() -> None:
    lines = Lines("common", b"WORKER=3\n")
    known = lines.known(HEAD, valid=True)
    entry = parsed(lines.line(known.template, b"192.0.2.7", SENT, WHEN))
    assert entry.pop("MESSAGE") == '192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b HTTP/1.1" 200 2326'
    assert entry | {"HTTP_HOST": ""} == {
        "PRIORITY": "6",
        "REMOTE_ADDR": "192.0.2.7",
        "REQUEST": "GET /a?b HTTP/1.1",
        "REQUEST_METHOD": "GET",
        "HTTP_HOST": "",
        "STATUS": "200",
        "BYTES_SENT": "2500",
        "DURATION_USEC": "1500",
        "WORKER": "3",
    }


@pytest.mark.parametrize("pattern", ["combined", "json", "%m %r"])
def test_no_entry_can_be_forged(pattern: str) -> None:
    lines = Lines(pattern, b"WORKER=3\n")
    head = b"GET /\nSTATUS=200\r\x00 HTTP/1.1\r\nHost: a\nSTATUS=200\r\n\r\n"
    for valid in (True, False):
        entry = lines.line(lines.known(head, valid=valid).template, b"192.0.2.7", CUT, WHEN)
        assert entry.count(b"\n") == 10
        assert parsed(entry)["STATUS"] == "499"
