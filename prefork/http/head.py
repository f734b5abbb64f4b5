"""Turns the bytes of a request's head into a Request, and remembers what comes again.

Parsing is a pure function of the head's bytes, and clients on keep-alive, load balancers and health checks repeat
their heads byte for byte: a repeated one costs a dict lookup. Of those that never repeat, nearly all are plain: GET or
HEAD in HTTP/1.1 with nothing in them that means something to the server. One expression matches those. Of the others
the grammar is matched first, and what their fields mean is asked of the rules, and remembered too.
"""

import re
from typing import Final

from prefork.http.faults import cannot_become_head, fault
from prefork.http.grammar import FIELD_LINE, METHOD, ORIGIN_FORM, SIMPLE_HOST, TARGET, VALUE
from prefork.http.messages import FRAMINGS, KEEP, Fields, Limits, Meaning, Rejection, Request
from prefork.http.semantics import RULES, understand

REQUEST_LINE: Final = re.compile(rb"(%b) (%b) HTTP/1\.([0-9])\r\n" % (METHOD, TARGET)).match
FIELD_LINES: Final = re.compile(rb"(?:%b)*\r\n" % FIELD_LINE).fullmatch
WITH_A_MEANING: Final = re.compile(rb"\n((?i:%b)):(%b)" % (b"|".join(RULES), VALUE)).findall

# A field that means nothing for the framing; told apart by its first letter, as that is quicker (0.1 µs a head).
_PLAIN: Final = (
    rb"(?:(?![CcEeHhTt](?i:onnection:(?![\t ]*keep-alive\r)|ontent-length:|xpect:|ost:|ransfer-encoding:))%b)*"
    % FIELD_LINE
)
PLAIN_HEAD: Final = re.compile(
    rb"(GET|HEAD) (%b) HTTP/1\.1\r\n%b(?i:host):[\t ]*%b[\t ]*\r\n%b\r\n" % (ORIGIN_FORM, _PLAIN, SIMPLE_HOST, _PLAIN)
).fullmatch
PLAIN_FRAMING: Final = {b"GET": FRAMINGS[KEEP, False], b"HEAD": FRAMINGS[KEEP, True]}

MOST_REMEMBERED: Final = 1024  # heads, and as many meanings
LONGEST_REMEMBERED: Final = 2048  # bytes of a head, or of the fields with a meaning; in all, some 4 MiB a worker
MARKS: Final = 4096  # hashes of heads that were seen once


def excess(data: bytes, limits: Limits) -> Rejection | None:
    """Return the answer to a head, or to what has come of one, that is too long; None for others.

    What was wrong before it was too long is told that, however the bytes arrived.
    """
    start = 2 if data.startswith(b"\r\n") else 0
    line_end = data.find(b"\r\n", start)
    line_length = (line_end + 2 if line_end >= 0 else len(data)) - start
    if line_length > limits.request_line:
        allowed, rejection = start + limits.request_line, Rejection(414, "request line too long")
    elif len(data) > limits.head:
        allowed, rejection = limits.head, Rejection(431, "request head too large")
    else:
        return None
    return fault(data) if cannot_become_head(data[:allowed]) else rejection


class HeadParser:
    """Parses whole heads, each up to and including its empty line."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._fits = min(limits.request_line, limits.head, limits.field, len(b"a:\r\n") * limits.fields)  # bytes
        self._meanings: dict[tuple[bytes, int, Fields], Meaning] = {}

    def parse(self, head: bytes) -> Request:
        """Return the request whose head this is.

        Raises:
            Rejection: 400, 405, 414, 417, 431, 501 or 505.
        """
        return self.parse_plain(head) or self.parse_any(head)

    def parse_plain(self, head: bytes) -> Request | None:
        """Return the request if these bytes are one plain head within the limits, None where they are anything else."""
        plain = PLAIN_HEAD(head)
        if plain is None or (len(head) > self._fits and (excess(head, self._limits) or self._excess_of_lines(head))):
            return None
        method, target = plain.groups()
        return Request(method, target, 1, head, PLAIN_FRAMING[method])

    def parse_any(self, head: bytes) -> Request:
        """Do what `parse` does, for heads of any kind."""
        if rejection := excess(head, self._limits):
            raise rejection
        if head.startswith(b"\r\n") and not head.startswith(b"\r\n\r\n"):
            head = head[2:]  # RFC 9112 §2.2: one empty line before a request is overlooked
        line = REQUEST_LINE(head)
        if line is None or not FIELD_LINES(head, line.end()):
            raise fault(head)
        if rejection := self._excess_of_lines(head):
            raise rejection
        method, target, digit = line.groups()
        minor = 0 if digit == b"0" else 1
        meaning = self._meaning(method, minor, tuple(WITH_A_MEANING(head)))
        return Request(method, target, minor, head, meaning.framing, meaning.body_length, meaning.expects_continue)

    def _excess_of_lines(self, head: bytes) -> Rejection | None:
        if head.count(b"\n") - 2 > self._limits.fields:  # beside the request line and the empty line
            return Rejection(431, "too many field lines")
        longest = self._limits.field
        if len(head) > longest and any(len(line) >= longest for line in head.split(b"\n")[1:]):
            return Rejection(431, "field line too long")
        return None

    def _meaning(self, method: bytes, minor: int, lines: Fields) -> Meaning:
        """Return what the rules say of the field lines that they name, remembered as they were sent."""
        key = (method, minor, lines)
        meaning = self._meanings.get(key)
        if meaning is None:
            meaning = understand(method, minor, [(name.lower(), value.strip(b" \t")) for name, value in lines])
            if sum(len(value) for _, value in lines) <= LONGEST_REMEMBERED:
                if len(self._meanings) >= MOST_REMEMBERED:
                    self._meanings.clear()
                self._meanings[key] = meaning
        return meaning


class Heads:
    """Requests by the bytes of their heads.

    `remembered` holds requests without a body only, that any connection may bring: a hit is a whole request, and is
    served. A head is remembered when it is seen for the second time, so that heads that never repeat cost a table of
    hashes and not the memory of their requests.
    """

    def __init__(self, limits: Limits) -> None:
        self.remembered: dict[bytes, Request] = {}
        self._marks = [0] * MARKS
        self._parser = HeadParser(limits)

    def get(self, head: bytes) -> Request:
        """Return the request whose head this is, parsed or remembered; raises what HeadParser.parse raises."""
        request = self.remembered.get(head)
        if request is None:
            request = self._parser.parse(head)
            if request.body_length == 0:
                self._mark(head, request)
        return request

    def get_plain(self, data: bytes) -> Request | None:
        """Return the request if these bytes are one plain head that is not remembered, None for others."""
        request = self._parser.parse_plain(data)
        if request is not None:
            self._mark(data, request)
        return request

    def _mark(self, head: bytes, request: Request) -> None:
        """Remember a head if it was seen before, which a table of hashes tells."""
        mark = hash(head)
        marks, at = self._marks, mark % MARKS
        if marks[at] != mark:
            marks[at] = mark
        elif len(head) <= LONGEST_REMEMBERED and not request.is_for_https:
            if len(self.remembered) >= MOST_REMEMBERED:
                self.remembered.clear()
            self.remembered[head] = request
