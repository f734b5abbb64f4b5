"""The values of HTTP: what a request says, what an answer says, why a request is refused.

They are immutable: a parsed request is remembered and given out again for every head with the same bytes.
"""

from typing import Final, TypeAlias

from msgspec import Struct

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Limits(Struct, frozen=True):
    """What a peer may send: sizes in bytes, `fields` a count of field lines."""

    request_line: int = 8 * 1024
    head: int = 32 * 1024
    fields: int = 100
    body: int = 16 * 1024 * 1024


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


class Request(Struct, frozen=True, eq=False):
    """A request's head, understood.

    `fields` are in the order received, names in lower case, values without the white space around them. `minor` is the
    minor version of HTTP/1, 0 or 1.
    """

    method: bytes
    target: bytes
    minor: int
    fields: Fields
    framing: Framing = FRAMINGS[KEEP, False]
    body_length: int | None = 0
    expects_continue: bool = False

    def field(self, name: bytes) -> bytes:
        """Return the value of the first field of this lower-case name, empty where there is none."""
        return next((value for each, value in self.fields if each == name), b"")


class Response(Struct, frozen=True, eq=False):
    """An answer: its own fields, without those that frame it (Content-Length, Connection, Date)."""

    status: int
    fields: Fields = ()
    body: bytes = b""


class Rejection(Exception):  # noqa: N818 - it is an answer to the peer, not an error of ours
    """A request that is refused: `status` and a short plain-text `reason`; the connection is closed after it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
