"""Turns the bytes of a request's head into a Request, and remembers what comes again.

Parsing is a pure function of the head's bytes, and clients on keep-alive, load balancers and health checks repeat
their heads byte for byte: a repeated one costs a dict lookup. Of those that never repeat, the few fields that mean
something to the server do, so what they mean is remembered too. llhttp parses the field lines; the request line is
matched here, since llhttp takes more of them than RFC 9112 §3 allows (HTTP/0.9, several spaces, RTSP).
"""

import re
from typing import Final

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from prefork.http.messages import Fields, Limits, Meaning, Rejection, Request
from prefork.http.semantics import RULES, understand

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 §5.6.2
HTTP_URI: Final = rb"(?i:https?)://(?![/?#:])[!-~]+"  # RFC 9110 §4.2.1, §4.2.3: never without a host, in any case
REQUEST_LINE: Final = re.compile(rb"(%b) (/[!-~]*|%b|\*) HTTP/1\.([0-9])\r\n" % (TOKEN, HTTP_URI)).match
ANY_REQUEST_LINE: Final = re.compile(rb"(%b) ([!-~]+) HTTP/([0-9])\.[0-9]\r\n" % TOKEN).match

MOST_REMEMBERED: Final = 1024  # heads, and as many meanings
LONGEST_REMEMBERED: Final = 2048  # bytes of a head, or of the fields with a meaning; in all, some 4 MiB a worker
MOST_SEEN_ONCE: Final = 4096  # hashes


class FieldLines(list[tuple[bytes, bytes]]):
    """What llhttp calls back with: the field lines of one head, names in lower case, values without white space."""

    __slots__ = ("complete",)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


class HeadParser:
    """Parses whole heads, each up to and including its empty line."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lines = FieldLines()
        self._llhttp = self._fresh()
        self._meanings: dict[tuple[bytes, int, Fields], Meaning] = {}

    def _fresh(self) -> HttpRequestParser:
        parser = HttpRequestParser(self._lines)
        # Our own request line and Connection rules decide; so one parser serves many heads (0.55 against 0.79 µs).
        parser.set_dangerous_leniencies(lenient_version=True, lenient_keep_alive=True)
        return parser

    def parse(self, head: bytes) -> Request:
        """Return the request whose head this is.

        Raises:
            Rejection: 400, 414, 417, 431, 501 or 505.
        """
        if len(head) > self._limits.head:
            raise Rejection(431, "request head too large")
        line = REQUEST_LINE(head)
        if line is None:
            return self._parse_unusual(head)
        if line.end() > self._limits.request_line:
            raise Rejection(414, "request line too long")
        method, target, digit = line.groups()
        if target == b"*" and method != b"OPTIONS":
            raise Rejection(400, "invalid request target")  # RFC 9112 §3.2.4
        minor = 0 if digit == b"0" else 1
        try:
            fields = self._parse_fields(head)
            meaning = self._meaning(method, minor, tuple([field for field in fields if field[0] in RULES]))
        except Rejection:
            self._llhttp = self._fresh()  # this one stopped inside the head, or waits for the body
            raise
        if meaning.body_length != 0:
            self._llhttp = self._fresh()  # this one waits for the body, which is not for it
        return Request(method, target, minor, fields, meaning.framing, meaning.body_length, meaning.expects_continue)

    def _parse_unusual(self, head: bytes) -> Request:
        """Parse a head that follows an empty line, or say what is wrong with its request line."""
        if head.startswith(b"\r\n") and len(head) > len(b"\r\n\r\n"):
            return self.parse(head[2:])  # RFC 9112 §2.2: one empty line before a request is overlooked
        line = ANY_REQUEST_LINE(head)
        if line is None:
            raise Rejection(400, "malformed request line")
        if line[3] != b"1":
            raise Rejection(505, "only HTTP/1.0 and HTTP/1.1 are served")
        understand(line[1], 0, ())  # CONNECT has a target of its own form
        raise Rejection(400, "invalid request target")

    def _parse_fields(self, head: bytes) -> Fields:
        lines = self._lines
        lines.clear()
        lines.complete = False
        try:
            self._llhttp.feed_data(head)
        except HttpParserUpgrade:
            pass  # RFC 9110 §7.8: a server may ignore Upgrade, and this one does
        except HttpParserError as error:
            raise rejection(error) from None
        if len(lines) > self._limits.fields or not lines.complete:
            raise Rejection(431, "too many field lines") if lines.complete else Rejection(400, "malformed head")
        return tuple(lines)

    def _meaning(self, method: bytes, minor: int, fields: Fields) -> Meaning:
        key = (method, minor, fields)
        meaning = self._meanings.get(key)
        if meaning is None:
            meaning = understand(method, minor, fields)
            if sum(len(value) for _, value in fields) <= LONGEST_REMEMBERED:
                if len(self._meanings) >= MOST_REMEMBERED:
                    self._meanings.clear()
                self._meanings[key] = meaning
        return meaning


def rejection(error: HttpParserError) -> Rejection:
    """Return the answer to what llhttp refused: 501 for a method that it doesn't know, else 400."""
    if isinstance(error, HttpParserInvalidMethodError):
        return Rejection(501, "method not implemented")  # RFC 9110 §9.1
    if "Transfer-Encoding" in str(error) and "Content-Length" not in str(error):
        return Rejection(501, "a transfer coding other than chunked")  # RFC 9112 §6.1
    return Rejection(400, str(error))


class Heads:
    """Requests by the bytes of their heads.

    `remembered` holds requests without a body only: a hit is a whole request. A head is remembered when it is seen
    for the second time, so that heads that never repeat cost a set of hashes and not the memory of their requests.
    """

    def __init__(self, limits: Limits) -> None:
        self.remembered: dict[bytes, Request] = {}
        self._seen_once: set[int] = set()
        self._parse = HeadParser(limits).parse

    def get(self, head: bytes) -> Request:
        """Return the request whose head this is, parsed or remembered; raises what HeadParser.parse raises."""
        request = self.remembered.get(head)
        if request is None:
            request = self._parse(head)
            if request.body_length == 0 and len(head) <= LONGEST_REMEMBERED:
                self._remember(head, request)
        return request

    def _remember(self, head: bytes, request: Request) -> None:
        mark = hash(head)
        if mark not in self._seen_once:
            if len(self._seen_once) >= MOST_SEEN_ONCE:
                self._seen_once.clear()
            self._seen_once.add(mark)
            return
        if len(self.remembered) >= MOST_REMEMBERED:
            self.remembered.clear()
        self.remembered[head] = request
