"""Turns what an application says in `start_response` into the head of an answer, and remembers it.

Applications say the same again and again, so a head that was said before is looked up. What would make the wire say
something else is refused: a line break in a value above all, and the fields by which the server frames its answers.
"""

import re
from contextlib import suppress
from typing import Final

from prefork.http.answers import AnswerHead
from prefork.http.grammar import TOKEN
from prefork.http.messages import WITHOUT_CONTENT

MOST_REMEMBERED: Final = 512  # heads
LONGEST_REMEMBERED: Final = 2048  # bytes of one
PAIR: Final = 2

# RFC 9110 §7.6.1: of one connection, and so the server's. wsgiref.util.is_hop_by_hop lists the same.
HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "trailers",
     "transfer-encoding", "upgrade"}
)  # fmt: skip

_is_status: Final = re.compile(r"[2-5][0-9]{2}(?: [\t -~\x80-\xff]*)?").fullmatch
_is_name: Final = re.compile(TOKEN.decode()).fullmatch
_is_value: Final = re.compile(r"[\t -~\x80-\xff]*").fullmatch
_is_length: Final = re.compile(r"[0-9]{1,18}").fullmatch

remembered: dict[object, AnswerHead] = {}
# What was said last with each status. Lists are compared in a third of the time that it takes to look them up.
latest: dict[str, tuple[list[tuple[str, str]], AnswerHead]] = {}


class HeaderError(ValueError):
    """What an application wants to say, and can't: the message names it."""


def head_of(status: str, headers: list[tuple[str, str]]) -> AnswerHead:
    """Return the head of an answer with this status and these header fields, as PEP 3333 has them.

    Raises:
        HeaderError: that can't be said in HTTP, or not by an application.
    """
    try:
        head = remembered.get((status, tuple(headers))) if headers.__class__ is list else None
    except TypeError:  # unhashable: a list in place of a pair
        head = None
    if head is None:
        head = _made(status, headers)
        if len(head.block) > LONGEST_REMEMBERED:
            return head
        if len(remembered) >= MOST_REMEMBERED:
            remembered.clear()
            latest.clear()
        with suppress(TypeError):  # strings of a kind that can't be hashed
            remembered[status, tuple(headers)] = head
    latest[status] = (headers.copy(), head)
    return head


def with_length(head: AnswerHead, length: int) -> AnswerHead:
    """Return a head that says how long its content is in bytes."""
    block = b"%bContent-Length: %d\r\n" % (head.block, length)
    return AnswerHead(head.status, block, length, head.dated)


def _made(status: object, headers: object) -> AnswerHead:
    if not isinstance(status, str) or not _is_status(status):
        raise HeaderError(f'the status must be a string such as "200 OK", got {status!r}')
    if not isinstance(headers, list):
        raise HeaderError(f"the headers must be a list, got {type(headers).__name__}")
    code = int(status[:3])
    lines = [f"HTTP/1.1 {status[:3]} {status[4:]}\r\n"]
    length: int | None = None
    dated = False
    for each in headers:
        name, value = _pair(each)
        lower = name.lower()
        if lower in HOP_BY_HOP:
            raise HeaderError(f"{name} is for the server to send (PEP 3333)")
        if lower == "content-length":
            if not _is_length(value) or length not in (None, int(value)):
                raise HeaderError(f"Content-Length must be one decimal number, got {value!r}")
            if code in WITHOUT_CONTENT or length is not None:
                continue
            length = int(value)
        dated = dated or lower == "date"
        lines += name, ": ", value, "\r\n"
    return AnswerHead(code, "".join(lines).encode("latin-1"), length, dated)


def _pair(header: object) -> tuple[str, str]:
    if not (isinstance(header, tuple) and len(header) == PAIR and all(isinstance(each, str) for each in header)):
        raise HeaderError(f"a header must be a pair of strings, got {header!r}")
    name, value = header
    if not _is_name(name):
        raise HeaderError(f"{name!r} is no name of a header")
    if not _is_value(value):
        raise HeaderError(f"{name} can't have the value {value!r}")
    return name, value
