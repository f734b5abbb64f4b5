"""Why requests are refused, and connections given up before one: each reason's number in what is counted. Pure.

Workers and masters of different versions share the counts over an upgrade, so a reason is only ever appended, and one
that is no longer given keeps its place.
"""

from collections.abc import Mapping
from typing import Final

GIVEN_UP: Final = 0  # in place of a status: there was no request yet that could be answered

# fmt: off
REASONS: Final[tuple[tuple[int, str], ...]] = (
    (GIVEN_UP, "another reason"),
    (GIVEN_UP, "waited too long for what comes before HTTP"),
    (GIVEN_UP, "no PROXY header, or a malformed one"),
    (GIVEN_UP, "TLS handshake failed"),
    (400, "TLS on a port that speaks plain HTTP"),
    (400, "plain HTTP to a port that speaks TLS: use https://"),
    (400, "bare line feed"),
    (400, "bare carriage return"),
    (400, "more than one empty line before a request"),
    (400, "malformed request line"),
    (400, "asterisk-form is for OPTIONS"),
    (400, "fragment in the request target"),
    (400, "malformed percent-encoding in the request target"),
    (400, "userinfo in the request target"),
    (400, "character not allowed in the request target"),
    (400, "invalid request target"),
    (400, "NUL in a field line"),
    (400, "folded field line"),
    (400, "white space before the colon of a field line"),
    (400, "control character in a field line"),
    (400, "invalid field name"),
    (400, "no Host field"),
    (400, "more than one Host field"),
    (400, "invalid Host"),
    (400, "Content-Length is not one decimal number"),
    (400, "both Content-Length and Transfer-Encoding"),
    (400, "Transfer-Encoding in HTTP/1.0"),
    (400, "malformed Transfer-Encoding"),
    (400, "chunked is not the last transfer coding"),
    (400, "malformed chunk size"),
    (400, "chunk data longer than its size"),
    (400, "chunk extensions too long"),
    (400, "malformed trailer field"),
    (405, "method not allowed"),
    (408, "waited too long for the rest of a head"),
    (408, "waited too long for the rest of a body"),
    (413, "request body too large"),
    (414, "request line too long"),
    (417, "an expectation other than 100-continue"),
    (431, "request head too large"),
    (431, "too many field lines"),
    (431, "field line too long"),
    (431, "trailer section too large"),
    (501, "method not implemented"),
    (501, "a transfer coding other than chunked"),
    (503, "too many connections"),
    (503, "too many connections of one client"),
    (505, "only HTTP/1.0 and HTTP/1.1 are served"),
    (503, "waited too long for the application"),
    (503, "too many requests wait for the application"),
    (507, "no room for the content of the request"),
    (421, "https without TLS"),
    (GIVEN_UP, "too many connections"),
    (GIVEN_UP, "too many connections of one client"),
    (400, "malformed chunk extension"),
    (400, "PROXY header of an unknown proxy"),
    (503, "the system has no thread for the application"),
)
# fmt: on
# By which keys of the configuration a reason is bounded, where it is.
KEYS_OF: Final[Mapping[str, str]] = {
    "waited too long for what comes before HTTP": "handshake_timeout",
    "no PROXY header, or a malformed one": "proxy_protocol, proxy_allow_ips",
    "PROXY header of an unknown proxy": "proxy_protocol, proxy_allow_ips",
    "waited too long for the rest of a head": "header_timeout",
    "waited too long for the rest of a body": "body_timeout, min_data_rate",
    "request body too large": "limit_body",
    "request line too long": "limit_request_line",
    "request head too large": "limit_head",
    "too many field lines": "limit_fields",
    "field line too long": "limit_field",
    "too many connections": "max_connections",
    "too many connections of one client": "max_connections_per_client",
    "waited too long for the application": "request_timeout",
    "too many requests wait for the application": "max_queued_requests",
    "no room for the content of the request": "body_buffer",
}
_NUMBERS: Final[Mapping[tuple[int, str], int]] = {reason: number for number, reason in enumerate(REASONS)}


def number_of(status: int, reason: str) -> int:
    """Return the number of a reason, whatever detail it has after a colon; that of no known one is 0."""
    return _NUMBERS.get((status, reason)) or _NUMBERS.get((status, reason.partition(":")[0]), 0)
