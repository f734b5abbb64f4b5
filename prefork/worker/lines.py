r"""The lines of the access log: common, combined, JSON, or as configured, after mod_log_config of Apache httpd.

A format is compiled to a template with holes. What a request's head says fills some of them once and is remembered by
the bytes of that head; what is known when an answer has been sent fills the rest, for one line. What a peer sent is
escaped before it is filled in, so that no line can be forged and no terminal reached.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Final, TypeAlias

from msgspec import Struct

from prefork.http.forwarded import READ
from prefork.http.messages import Fields, fields_of
from prefork.worker.dates import clf_time, iso_time

Value: TypeAlias = bytes | int

COMMON: Final = '%h %l %u %t "%r" %>s %b'
FORMATS: Final[Mapping[str, str]] = {
    "common": COMMON,
    "combined": COMMON + ' "%{Referer}i" "%{User-Agent}i"',
}
JSON: Final[Mapping[str, str]] = {
    "time": "%t", "client": "%h", "method": "%m", "target": "%U%q", "protocol": "%H", "status": "%s", "bytes": "%B",
    "sent": "%O", "duration_us": "%D", "complete": "%X", "host": "%{Host}i", "referer": "%{Referer}i",
    "user_agent": "%{User-Agent}i", "pid": "%P",
}  # fmt: skip
# What an entry of the journal has besides its message; priority 6 is info.
ENTRY: Final = """\
PRIORITY=6
REMOTE_ADDR=%h
REQUEST=%r
REQUEST_METHOD=%m
HTTP_HOST=%{Host}i
STATUS=%s
BYTES_SENT=%O
DURATION_USEC=%D
"""
NUMBERS: Final = frozenset({"%s", "%B", "%O", "%D", "%P", "%X"})  # and true or false, in JSON without quotes
MOST_REMEMBERED: Final = 1024  # heads
LARGEST_REMEMBERED: Final = 2048  # bytes of one

_DIRECTIVE: Final = re.compile(r"%(?:\{(?P<field>[^{}]+)\}i|>?(?P<letter>[A-Za-z%]))")
# The first line of a head that may be anything: only one that is well-formed is told in parts.
_request_line: Final = re.compile(rb"(?:\r?\n)*([^\r\n]*)").match
_parts: Final = re.compile(rb"(\S+) ([^ ?]*)(\?\S*)? (HTTP/\d\.\d)").fullmatch


class Sent(Struct, frozen=True):
    """An answer as it was sent, whole or as much as was taken: how many bytes, and how many of those are its body's.

    `seconds` passed from the first byte of its request until its last was taken.
    """

    status: int
    body: int
    total: int
    seconds: float
    complete: bool


class Known(Struct, frozen=True):
    """What is remembered of a head: the template of its lines, and the fields in which a proxy tells of the client."""

    template: bytes
    told: Fields


class Lines:
    """Makes lines of one format: a name of FORMATS, `json`, or directives.

    With `process`, the fields of a process in systemd's journal, each is an entry there, whose message is the line.
    """

    def __init__(self, pattern: str, process: bytes = b"") -> None:
        self._is_json = pattern == "json"
        self._pattern = json_pattern() if self._is_json else FORMATS.get(pattern, pattern) + "\n"
        if process:
            self._pattern = f"MESSAGE={self._pattern}{ENTRY}{process.decode()}"
        self._escape = json_escaped if self._is_json else escaped
        letters = [match["letter"] for match in _DIRECTIVE.finditer(self._pattern)]
        places = [AT_THE_END[letter][0] for letter in letters if letter in AT_THE_END]
        # A format without them has %.0s, which takes one value and prints nothing.
        self._pick: Callable[[tuple[Value, ...]], object] = itemgetter(*(places or [0]))
        self._unused = b"" if places else b"%.0b"
        self._stamp = iso_time if self._is_json else clf_time
        self._marks = (b"false", b"true") if self._is_json else (b"X", b"+")
        self._remembered: dict[bytes, Known] = {}

    def known(self, head: bytes, *, valid: bool) -> Known:
        """Return what a head says to a line; of one that was refused, or is not whole, only its first line counts."""
        known = self._remembered.get(head) if valid else None
        if known is None:
            known = self._know(head, valid=valid)
            if valid and len(head) <= LARGEST_REMEMBERED:
                if len(self._remembered) >= MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered[head] = known
        return known

    def line(self, template: bytes, client: bytes, sent: Sent, wall: float) -> bytes:
        """Return the line of an answer; `wall` is in seconds since the epoch."""
        body = sent.body
        values = (
            client or b"-",
            self._stamp(int(wall)),
            sent.status,
            b"%d" % body if body else b"-",
            body,
            sent.total,
            int(sent.seconds * 1e6),
            self._marks[sent.complete],
        )
        return template % self._pick(values)

    def _know(self, head: bytes, *, valid: bool) -> Known:
        found = _request_line(head)
        line = found[1] if found else b""
        parts = _parts(line)
        fields = fields_of(head) if valid else ()
        firsts = dict(reversed(fields))

        def filled(match: re.Match[str]) -> str:
            letter = match["letter"]
            if letter in AT_THE_END:
                return AT_THE_END[letter][1]
            if letter is None:
                text = firsts.get(match["field"].lower().encode(), b"")
            else:
                text = OF_THE_HEAD[letter](line, parts)
            return self._escape(text).replace("%", "%%")

        # What stands between the directives has no percent sign.
        template = _DIRECTIVE.sub(filled, self._pattern).encode() + self._unused
        return Known(template, tuple([each for each in fields if each[0] in READ]))


def _part(number: int) -> Callable[[bytes, re.Match[bytes] | None], bytes]:
    return lambda _line, parts: (parts[number] or b"") if parts else b""


# What a directive stands for: by its head alone, or a place among the values of `line` and how it is printed.
OF_THE_HEAD: Final[Mapping[str, Callable[[bytes, re.Match[bytes] | None], bytes]]] = {
    "r": lambda line, _parts: line,
    "m": _part(1),
    "U": _part(2),
    "q": _part(3),
    "H": _part(4),
    "l": lambda _line, _parts: b"",
    "u": lambda _line, _parts: b"",
    "P": lambda _line, _parts: b"%d" % os.getpid(),
    "%": lambda _line, _parts: b"%",
}
AT_THE_END: Final[Mapping[str | None, tuple[int, str]]] = {
    "h": (0, "%b"), "a": (0, "%b"), "t": (1, "%b"), "s": (2, "%d"), "b": (3, "%b"), "B": (4, "%d"), "O": (5, "%d"),
    "D": (6, "%d"), "X": (7, "%b"),
}  # fmt: skip


def json_pattern() -> str:
    """Return the format of JSON lines."""
    pairs = (f'"{name}":{of}' if of in NUMBERS else f'"{name}":"{of}"' for name, of in JSON.items())
    return "{" + ",".join(pairs) + "}\n"


# As httpd's ap_escape_logitem does: a name for the common controls, \xhh for all else that isn't printable ASCII.
UNQUOTABLE: Final = re.compile(rb"[^ !#-\[\]-~]")
ESCAPES: Final[Mapping[bytes, bytes]] = {bytes([byte]): b"\\x%02x" % byte for byte in range(256)} | {
    b'"': rb"\"", b"\\": rb"\\", b"\b": rb"\b", b"\n": rb"\n", b"\r": rb"\r", b"\t": rb"\t", b"\v": rb"\v",
}  # fmt: skip


def escaped(text: bytes) -> str:
    """Return what a peer sent as it may stand between quotes, or a dash for nothing."""
    return UNQUOTABLE.sub(lambda found: ESCAPES[found[0]], text).decode() or "-"


def json_escaped(text: bytes) -> str:
    """Return what a peer sent as it may stand in a string of JSON (RFC 8259 §7), bytes beyond ASCII as Latin-1."""
    return json.dumps(text.decode("latin-1"))[1:-1].replace("\x7f", "\\u007f")
