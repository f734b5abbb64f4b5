"""Says what is wrong with a head that the grammar doesn't match: a table from what is seen to the answer.

The grammar alone decides whether a head is refused; the first row that is found in a refused one tells status and
reason. Reasons are few and fixed, so that they can be counted.
"""

import re
from typing import Final

from msgspec import Struct

from prefork.http.grammar import METHOD, TARGET, TOKEN
from prefork.http.messages import Rejection
from prefork.http.proxy import SIGNATURE


class Fault(Struct, frozen=True):
    """What is found where, by which section it is wrong, and what the peer is told."""

    pattern: bytes
    section: str
    status: int
    reason: str


_METHOD: Final = rb"\A" + TOKEN
_TARGET: Final = _METHOD + rb" [!-~]*?"

# fmt: off
FAULTS: Final = (
    Fault(rb"\A(?:\r\n)?\x16\x03",                 "RFC 9112 §2.2",   400, "TLS on a port that speaks plain HTTP"),
    Fault(rb"\A(?:PROXY (?:TCP|UNKNOWN)|%b)" % SIGNATURE, "RFC 9112 §2.2", 400, "PROXY header of an unknown proxy"),
    Fault(rb"(?<!\r)\n",                           "RFC 9112 §2.2",   400, "bare line feed"),
    Fault(rb"\r(?!\n)",                            "RFC 9112 §2.2",   400, "bare carriage return"),
    Fault(rb"\A\r\n\r\n",                          "RFC 9112 §2.2",   400, "more than one empty line before a request"),
    Fault(_METHOD + rb" [!-~]+ HTTP/[02-9]\.[0-9]\r\n", "RFC 9110 §15.6.6", 505, "only HTTP/1.0 and HTTP/1.1 are served"),
    Fault(rb"\A(?!%b [!-~]+ HTTP/1\.[0-9]\r\n)" % TOKEN, "RFC 9112 §3", 400, "malformed request line"),
    Fault(rb"\A(?:CONNECT|TRACE) ",         "RFC 9110 §15.5.6", 405, "method not allowed"),
    Fault(rb"\A(?!%b )" % METHOD,           "RFC 9110 §9.1",   501, "method not implemented"),
    Fault(rb"\A(?!OPTIONS )%b \* " % TOKEN, "RFC 9112 §3.2.4", 400, "asterisk-form is for OPTIONS"),
    Fault(_TARGET + rb"#",                         "RFC 9112 §3.2",   400, "fragment in the request target"),
    Fault(_TARGET + rb"%(?![0-9A-Fa-f]{2})",       "RFC 3986 §2.1",   400, "malformed percent-encoding in the request target"),
    Fault(_METHOD + rb" (?i:https?)://[^/?]*@",    "RFC 9110 §4.2.4", 400, "userinfo in the request target"),
    Fault(_TARGET + rb'["<>\\^`{|}]',              "RFC 3986 §2",     400, "character not allowed in the request target"),
    Fault(_METHOD + rb" (?!%b )" % TARGET,         "RFC 9112 §3.2",   400, "invalid request target"),
    Fault(rb"\x00",                                "RFC 9110 §5.5",   400, "NUL in a field line"),
    Fault(rb"\r\n[ \t]",                           "RFC 9112 §5.2",   400, "folded field line"),
    Fault(rb"\r\n%b[ \t]++:" % TOKEN,              "RFC 9112 §5.1",   400, "white space before the colon of a field line"),
    Fault(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]",    "RFC 9110 §5.5",   400, "control character in a field line"),
    Fault(rb"",                                    "RFC 9110 §5.1",   400, "invalid field name"),
)
# fmt: on
_SEARCHES: Final = tuple((re.compile(fault.pattern).search, fault) for fault in FAULTS)


def fault(head: bytes) -> Rejection:
    """Return the answer to a head, or the beginning of one, that the grammar doesn't match.

    Of one with a malformed request line it tells what is wrong up to there: the rest may not have come yet. The second
    version of the PROXY protocol begins with such.
    """
    if not head.startswith(SIGNATURE):
        head = malformed_line(head) or head
    found = next(each for search, each in _SEARCHES if search(head))
    return Rejection(found.status, found.reason)


# Told before a head is whole, since it may never be: TLS or other protocols, HTTP/0.9, lines that end in a bare line
# feed.
_CANNOT_BEGIN: Final = re.compile(rb"(?:\r\n)?[^!#$%&'*+.^_`|~0-9A-Za-z\r-]").match
_BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n").search
_REQUEST_LINE: Final = re.compile(rb"(?:\r\n)?%b [!-~]++ HTTP/[0-9]\.[0-9]\r\n" % TOKEN).match


def cannot_become_head(begun: bytes, checked: int = 0) -> bool:
    """Tell whether what has come of a head, of which `checked` bytes have been looked at before, is wrong already."""
    is_line_checked = begun.find(b"\r\n", 2, checked) >= 0
    return bool(
        _CANNOT_BEGIN(begun) or _BARE_LINE_FEED(begun, checked) or (not is_line_checked and malformed_line(begun))
    )


def malformed_line(begun: bytes) -> bytes:
    """Return a head up to the end of its request line, if that has come and has not its three parts; else nothing."""
    end = begun.find(b"\r\n", 2 if begun.startswith(b"\r\n") else 0)
    return b"" if end < 0 or _REQUEST_LINE(begun) else begun[: end + 2]
