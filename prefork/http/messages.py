"""The values of HTTP: what a request says, what an answer says, why a request is refused.

They are immutable: a parsed request is remembered and given out again for every head with the same bytes.
"""

import re
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr

from prefork.http.grammar import TOKEN, VALUE

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]

_FIELD_LINES: Final = re.compile(rb"\n([^:\r]+):[ \t]*([^\r]*)").findall
AUTHORITY: Final = re.compile(rb"[^/]*//([^/?]*)").match
IS_TOKEN: Final = re.compile(TOKEN).fullmatch
IS_VALUE: Final = re.compile(VALUE).fullmatch
WITHOUT_CONTENT: Final = frozenset({204, 205, 304})  # RFC 9110 §15.3.5, §15.3.6, §15.4.5
# RFC 9112 §6: what frames an answer is said once, by who frames it.
RESERVED: Final = frozenset({b"connection", b"content-length", b"date", b"transfer-encoding"})


def fields_of(head: bytes) -> Fields:
    """Return the fields of a valid head in their order: names in lower case, values without white space around them."""
    return tuple([(name.lower(), value.rstrip(b" \t")) for name, value in _FIELD_LINES(head)])


class Limits(Struct, frozen=True):
    """What a peer may send: sizes in bytes, `fields` a count of field lines, `requests` those of one connection.

    Of those that are pipelined, so many as `pipelined` are answered in one turn.
    """

    request_line: int = 8 * 1024
    head: int = 32 * 1024
    fields: int = 100
    field: int = 8 * 1024
    body: int = 16 * 1024 * 1024
    chunk_extensions: int = 16 * 1024
    requests: int = 1_000_000
    pipelined: int = 100


class Peer(Struct, array_like=True):
    """Who is at the other end: its IP address, or `unix:`; and by which scheme it came.

    Where it isn't `is_known`, the address is that of a proxy, which didn't tell whom it speaks for.
    """

    address: bytes
    scheme: bytes = b"http"
    is_known: bool = True


class Framing(Struct, frozen=True, eq=False):
    """How an answer ends: whether its body is sent, whether the connection goes on, and the field that says so.

    There are six of them, in FRAMINGS; being compared by identity makes them cheap keys.
    """

    keep_alive: bool
    connection: bytes
    head_only: bool


KEEP: Final = b""
KEEP_SAID: Final = b"Connection: keep-alive\r\n"  # an HTTP/1.0 client takes silence for a close (RFC 9112 §9.3)
CLOSE: Final = b"Connection: close\r\n"
FRAMINGS: Final = {
    (connection, head_only): Framing(connection is not CLOSE, connection, head_only)
    for connection in (KEEP, KEEP_SAID, CLOSE)
    for head_only in (False, True)
}


class Meaning(Struct, frozen=True):
    """What a head says about the exchange: how its answer ends, and what body follows it.

    `body_length` is in bytes, None for a chunked body.
    """

    framing: Framing
    body_length: int | None = 0
    expects_continue: bool = False


class Request(Struct, frozen=True, eq=False, gc=False):
    """A request's head, understood.

    `head` is valid by the grammar; `minor` is the minor version of HTTP/1, 0 or 1. `memo` is for whoever answers it:
    the same request may come again.
    """

    method: bytes
    target: bytes
    minor: int
    head: bytes
    framing: Framing = FRAMINGS[KEEP, False]
    body_length: int | None = 0
    expects_continue: bool = False
    _fields: Fields | None = None
    memo: Any = None  # whatever it is, it is none of ours

    def remember(self, memo: object) -> None:
        """Keep something with this request, for when it comes again."""
        force_setattr(self, "memo", memo)

    @property
    def asked(self) -> bytes:
        """What is asked for, as it is told to people: the method and the target."""
        return b"%b %b" % (self.method, self.target)

    @property
    def is_for_https(self) -> bool:
        """Whether its target says that it is for a resource that only TLS may lead to (RFC 9110 §4.2.2)."""
        return self.target[:6].lower() == b"https:"

    @property
    def fields(self) -> Fields:
        """What `fields_of` returns of the head."""
        if self._fields is None:  # most are never asked for, and reading them is half of what parsing would cost
            fields = fields_of(self.head)
            force_setattr(self, "_fields", fields)
            return fields
        return self._fields

    @property
    def host(self) -> bytes:
        """Whom the request is for: the authority of its target, else its Host (RFC 9112 §3.2.2)."""
        if self.target.startswith((b"/", b"*")):
            return self.field(b"host")
        match = AUTHORITY(self.target)
        assert match is not None
        return match[1]

    def field(self, name: bytes) -> bytes:
        """Return the value of the first field of this lower-case name, empty where there is none."""
        return next((value for each, value in self.fields if each == name), b"")


class Response(Struct, frozen=True, eq=False):
    """A final answer: its own fields, without those that frame it (Content-Length, Connection, Date).

    Raises:
        ValueError: for what would make the wire say something else: a line break in a value, above all.
    """

    status: int
    fields: Fields = ()
    body: bytes = b""

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:  # noqa: PLR2004 - RFC 9110 §15: 1xx are not final, 600 and up no status
            raise ValueError(f"status {self.status} is not from 200 to 599")
        if self.body and self.status in WITHOUT_CONTENT:
            raise ValueError(f"an answer with status {self.status} has no body")
        for name, value in self.fields:
            if not IS_TOKEN(name) or not IS_VALUE(value):
                raise ValueError(f"invalid field line {name!r}: {value!r}")
            if name.lower() in RESERVED:
                raise ValueError(f"{name!r} is for the server to send")


class Rejection(Exception):  # noqa: N818 - it is an answer to the peer, not an error of ours
    """A request that is refused: `status` and a short plain-text `reason`; the connection is closed after it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
