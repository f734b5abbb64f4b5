"""The kinds of clients as a table: what each sends, in which pieces, and how it reads."""

import math
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from tests.loss.wire import LONGEST_HEAD

GET: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD: Final = b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST_GET: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SIZED: Final = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n" + b"0123456789" * 3
CHUNKED: Final = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"a\r\n0123456789\r\n" * 3
    + b"0\r\n\r\n"
)
# Requests whose answers are more than the kernel keeps for a connection, of TCP with small buffers as of a unix socket.
MANY: Final = 1500


class Kind(Struct, frozen=True):
    """How a client asks: `pieces` are one or more requests, sent with `pause` seconds between them.

    It reads as Wire does, is due an answer to each of `methods`, and rests for up to `rest` seconds before it asks
    again, on the same connection if it `stays`.
    """

    name: str
    pieces: Sequence[bytes]
    methods: Sequence[str] = ("GET",)
    pause: float = 0.0
    rest: float = 0.01
    read_size: int = LONGEST_HEAD
    read_pause: float = 0.0
    stays: bool = True


def split(data: bytes, size: int) -> list[bytes]:
    """Return the data in pieces of this size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


IDLE: Final = Kind("idle", [GET], rest=math.inf)
# fmt: off
KINDS: Final = (
    Kind("keep-alive",     [GET]),
    Kind("new connection", [LAST_GET], stays=False),
    Kind("slow",           split(GET, 5), pause=0.01, read_size=20, read_pause=0.01),
    Kind("pipelined",      [GET + HEAD + GET * 2 + HEAD * 2 + GET], ["GET", "HEAD", "GET", "GET", "HEAD", "HEAD", "GET"]),
    Kind("half-received",  split(GET, 18), pause=0.7, rest=0.3),
    Kind("sized body",     split(SIZED, 13), pause=0.02),
    Kind("chunked body",   split(CHUNKED, 17), pause=0.02),
    Kind("slow reader",    [GET * MANY], ["GET"] * MANY, rest=0.3, read_size=4096, read_pause=0.004),
    IDLE,
)
# fmt: on
