"""What h11 and llhttp accept beside what we accept: two parsers that others wrote and that know nothing of ours.

What we refuse and they accept is listed, each with the reason; what we accept they accept too, and understand alike.
"""

import re
from typing import Final

import h11
import httptools
from hypothesis import example, given, settings

from prefork.http.grammar import METHODS
from prefork.http.head import HeadParser
from prefork.http.messages import Limits, Rejection, Request
from tests.corpus import CASES, get
from tests.unit.http.test_rules import heads

# fmt: off
# What is seen in a head, and why we accept it and h11 doesn't.
LOOSER_THAN_H11: Final = (
    (rb"\A\r\n(?!\r\n)",                         "RFC 9112 §2.2: one empty line before a request SHOULD be overlooked"),
    (rb"HTTP/1\.[2-9]\r",                        "RFC 9110 §2.5: a higher minor version is served as the highest that is known"),
)
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
    (rb"(?i)\nHost:(?![ \t]*[A-Za-z0-9.-]*(?::[0-9]*)?[ \t]*\r)", "the value of Host is left to the application"),
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
