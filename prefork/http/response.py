"""Turns answers into bytes: status line, Date, framing and persistence around what the application said.

A response that is given again and again is rendered once a second, when the Date changes, for each way in which its
connection goes on; in between, its bytes are looked up.
"""

from http import HTTPStatus
from typing import Final

from prefork.http.answers import AnswerHead, Whole
from prefork.http.grammar import METHODS
from prefork.http.messages import FRAMINGS, Fields, Framing, Rejection, Response

MOST_HEADS: Final = 512  # kept for a second, of answers that are followed by all of their content
LONGEST_JOINED: Final = 64 * 1024  # bytes of a body; to copy more (32 µs a MiB) costs more than a send of its own
MOST_RENDERED: Final = 64  # responses kept for a second; one that is made for each request only passes through

WITHOUT_LENGTH: Final = frozenset({204, 304})  # RFC 9110 §8.6: with 304 it is that of the 200, which is unknown
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS_LINES: Final = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}

# RFC 9110 §15.5.6, §10.2.1: what any resource may have; an application that allows less answers with its own 405.
ALLOW: Final = (b"Allow", b", ".join(METHODS))
RETRY_AFTER: Final = (b"Retry-After", b"1")
FURTHER_FIELDS: Final[dict[int, Fields]] = {405: (ALLOW,), 503: (RETRY_AFTER,)}


def rejected(rejection: Rejection) -> Response:
    """Return the answer that tells the peer why its request was refused."""
    fields = ((b"Content-Type", b"text/plain"), *FURTHER_FIELDS.get(rejection.status, ()))
    return Response(rejection.status, fields, rejection.reason.encode() + b"\n")


class Renderer:
    """Renders responses. The owner tells the time by `set_date`; nothing here reads a clock."""

    def __init__(self) -> None:
        self._date = b""
        self._tails = {each: each.connection + b"\r\n" for each in FRAMINGS.values()}
        # A table a framing: looking up a pair would cost making it (0.05 µs of some 6 a request).
        self.rendered: dict[Framing, dict[object, bytes]] = {each: {} for each in FRAMINGS.values()}
        self.heads: dict[Framing, dict[AnswerHead, bytes]] = {each: {} for each in FRAMINGS.values()}

    def set_date(self, date: bytes) -> None:
        """Take the IMF-fixdate of this second (RFC 9110 §5.6.7); what was rendered before is forgotten."""
        self._date = b"Date: " + date + b"\r\n"
        for rendered in self.rendered.values():
            rendered.clear()
        for heads in self.heads.values():
            heads.clear()
        self._tails = {each: b"%b%b\r\n" % (self._date, each.connection) for each in self.rendered}

    def head(self, response: Response, framing: Framing) -> bytes:
        """Return the response's head, up to and including its empty line."""
        line = STATUS_LINES.get(response.status) or b"HTTP/1.1 %d \r\n" % response.status
        fields = b"".join(b"%b: %b\r\n" % field for field in response.fields)
        length = b"" if response.status in WITHOUT_LENGTH else b"Content-Length: %d\r\n" % len(response.body)
        return line + self._date + fields + length + framing.connection + b"\r\n"

    def render(self, response: Response, framing: Framing) -> bytes:
        """Return the whole response in bytes, from this second's table where it is there already."""
        table = self.rendered[framing]
        rendered = table.get(response)
        if rendered is None:
            if len(table) >= MOST_RENDERED:
                table.clear()
            rendered = self.head(response, framing) + (b"" if framing.head_only else response.body)
            table[response] = rendered
        return rendered

    def tail(self, head: AnswerHead, framing: Framing) -> bytes:
        """Return the end of an answer's head: when it was given, and how its connection goes on."""
        return framing.connection + b"\r\n" if head.dated else self._tails[framing]

    def whole(self, answer: Whole, framing: Framing) -> tuple[bytes, bytes]:
        """Return an answer in bytes that is made for one request; its length is told where the application didn't.

        The second part is a long body, which is not copied for this client.
        """
        head, body, tail = answer.head, answer.body, self.tail(answer.head, framing)
        if framing.head_only:
            return head.block + tail, b""
        if head.length is None and head.status not in WITHOUT_LENGTH:
            rendered = b"%bContent-Length: %d\r\n%b" % (head.block, len(body), tail)
        else:
            rendered = head.block + tail
        if len(body) > LONGEST_JOINED:
            return rendered, body
        if head.length is not None:
            table = self.heads[framing]
            if len(table) >= MOST_HEADS:
                table.clear()
            table[head] = rendered
        return rendered + body, b""
