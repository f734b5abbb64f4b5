"""What h11 and llhttp accept beside what we accept: two parsers that others wrote and that know nothing of ours.

What we refuse and they accept is listed, each with the reason; what we accept they accept too, and understand alike.
"""

import re
from contextlib import suppress
from typing import Final

import h11
import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefork.http.body import ChunkedBody
from prefork.http.grammar import METHODS
from prefork.http.head import HeadParser
from prefork.http.messages import Limits, Rejection, Request
from tests.corpus import CASES, CHUNKED, get, post
from tests.unit.http.test_rules import heads

# fmt: off
# What is seen in a head, and why we accept it and h11 doesn't.
LOOSER_THAN_H11: Final = (
    (rb"\A\r\n(?!\r\n)",                         "RFC 9112 §2.2: one empty line before a request SHOULD be overlooked"),
    (rb"HTTP/1\.[2-9]\r",                        "RFC 9110 §2.5: a higher minor version is served as the highest that is known"),
)
LOOSER_IN_BODIES: Final = re.compile(rb"[ \t][;=]|[;=][ \t]").search  # RFC 9112 §7.1.1: white space within an extension
# What is seen in a head, and why we refuse it and h11 doesn't.
STRICTER_THAN_H11: Final = (
    (rb" HTTP/[02-9]\.[0-9]\r", "other major versions are served there"),
    (rb" HTTP/1\.[2-9]\r",  "Host is asked for in HTTP/1.1 alone there"),
    (rb"(?<!\r)\n",                              "lines may end in LF alone there: RFC 9112 §2.2 allows it, smugglers use it"),
    (rb"\A\r\n\r\n",                             "any number of empty lines is overlooked there"),
    (rb"\r\n[ \t]",                              "folded lines are unfolded there, which RFC 9112 §5.2 leaves to the server"),
    (rb"\A(?:\r\n)?(?!\r|(?:%b) )" % b"|".join(METHODS), "which methods there are is left to the application"),
    (rb"\A(?:\r\n)?[A-Z-]+ (?!/|\* )",           "the form of the target is left to the application"),
    (rb"\A(?:\r\n)?(?!OPTIONS)[A-Z-]+ \* ",      "asterisk-form with any method, the same"),
    (rb"\A(?:\r\n)?[A-Z-]+ [^ ]*[#\"<>\\^`{|}\[\]\x80-\xff]", "characters of the target, the same"),
    (rb"\A(?:\r\n)?[A-Z-]+ [^ ]*%(?![0-9A-Fa-f]{2})", "percent-encoding, the same"),
    (rb"(?i)\nHost:(?![ \t]*(?:[A-Za-z0-9.-]+(?::[0-9]*)?)?[ \t]*\r)", "the value of Host is left to the application"),
    (rb"(?i)\nContent-Length:.*\n(?:.*\n)*Content-Length:", "equal lengths are merged there: RFC 9112 §6.3 allows either"),
    (rb"(?i)\nContent-Length:.*,",               "a list of equal lengths, the same"),
    (rb"(?i)\nContent-Length:[ \t]*[0-9]{19}",   "up to 20 digits are read there, and are over every limit"),
    (rb"(?i)\nTransfer-Encoding:",               "accepted there with Content-Length and in HTTP/1.0: smuggling (RFC 9112 §6.1)"),
    (rb"(?i)\nExpect:",                          "other expectations are overlooked there"),
    (rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]",       "control characters but NUL, CR and LF are data there"),
)
# fmt: on


def by_h11(head: bytes) -> h11.Request | None:
    """Return what h11 reads, None where it refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Request) else None


def by_llhttp(head: bytes) -> list[tuple[bytes, bytes]] | None:
    """Return the field lines that llhttp reads, None where it refuses."""
    fields: list[tuple[bytes, bytes]] = []

    class Receiver:
        def on_header(self, name: bytes, value: bytes) -> None:
            fields.append((name.lower(), value.rstrip(b" \t")))

    try:
        httptools.HttpRequestParser(Receiver()).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    return fields


def by_us(head: bytes) -> Request | None:
    try:
        return HeadParser(Limits()).parse(head)
    except Rejection:
        return None


def agrees(head: bytes) -> None:
    """Compare the three, and find the reason on the list where we alone refuse."""
    ours, theirs = by_us(head), by_h11(head)
    if ours is not None and theirs is not None:
        assert (ours.method, ours.target) == (theirs.method, theirs.target)
        assert ours.fields == tuple(theirs.headers)
    elif ours is not None:
        assert any(re.search(pattern, head) for pattern, _ in LOOSER_THAN_H11), f"h11 refuses {head!r}"
    elif theirs is not None:
        assert any(re.search(pattern, head) for pattern, _ in STRICTER_THAN_H11), f"h11 accepts {head!r}"
    if ours is not None and ours.method in KNOWN_TO_LLHTTP and b"HTTP/1.1" in head:
        assert by_llhttp(head) == list(ours.fields)


KNOWN_TO_LLHTTP: Final = frozenset(
    method for method in METHODS if by_llhttp(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method) is not None
)


@given(head=heads())
@settings(max_examples=400)
@example(head=get())
def test_what_we_accept_others_accept_and_read_alike(head: bytes) -> None:
    agrees(head)


def test_the_corpus_is_accepted_by_others_or_the_reason_is_listed() -> None:
    for case in CASES:
        if case.answers[-1] in (414, 431):
            continue  # the limits are ours
        head, end, _ = case.sent.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        agrees(head + end)


def test_the_others_know_most_methods() -> None:
    assert {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"} <= KNOWN_TO_LLHTTP


# Pieces of chunked bodies, and what has been slipped into such (RFC 9112 §7.1).
PIECES: Final = (
    b"5\r\nhello\r\n", b"1\r\nx\r\n", b"1;a=b\r\nx\r\n", b'1;a="\r\n', b"0\r\n", b"00", b"\r\n", b"\r", b"\n", b"0", b"1", b"f", b";", b"=",
    b"a", b" ", b"\t", b":", b'"', b"+", b"-", b"_", b"0x", b"\x00", b"\x0b", b"\xff", b"X: y\r\n", b"X : y\r\n",
)  # fmt: skip
Read = tuple[bytes, bytes]  # the content of a body, and what follows it


def body_by_h11(body: bytes) -> Read | None:
    """Return what h11 reads, None where it refuses or waits for more."""
    connection, content = h11.Connection(h11.SERVER), b""
    connection.receive_data(post(CHUNKED, body))
    try:
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.EndOfMessage):
                return content, connection.trailing_data[0]
    except h11.RemoteProtocolError:
        pass
    return None


def body_by_llhttp(body: bytes) -> bytes | None:
    """Return the content that llhttp reads, None where it refuses or waits for more."""
    content: list[bytes] = []
    ended: list[bool] = []

    class Receiver:
        def on_body(self, data: bytes) -> None:
            if not ended:
                content.append(data)

        def on_message_complete(self) -> None:
            ended.append(True)

    with suppress(httptools.HttpParserError):  # of what follows the body, perhaps
        httptools.HttpRequestParser(Receiver()).feed_data(post(CHUNKED, body))
    return b"".join(content) if ended else None


def body_by_us(body: bytes) -> Read | None:
    content: list[bytes] = []
    try:
        rest = ChunkedBody(1000, 1000).feed(body, content.append)
    except Rejection:
        return None
    return None if rest is None else (b"".join(content), rest)


@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=6),
    slipped_in=st.sampled_from(PIECES),
    at=st.integers(0, 60),
)
@settings(max_examples=400)
@example(pieces=[b"5\r\nhello\r\n"], slipped_in=b"", at=0)
@example(pieces=[b'1;a="\r\n', b"x\r\n"], slipped_in=b"", at=0)
def test_a_chunked_body_that_we_accept_others_accept_and_read_alike_rfc9112_7_1(
    pieces: list[bytes], slipped_in: bytes, at: int
) -> None:
    body = b"".join(pieces) + b"0\r\n\r\n"
    body = body[:at] + slipped_in + body[at:] + b"GET"
    ours = body_by_us(body)
    if ours is not None and not LOOSER_IN_BODIES(body):
        assert ours == body_by_h11(body), body
        assert ours[0] == body_by_llhttp(body), body
