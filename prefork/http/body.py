"""Finds the end of a request's body, and passes its content on; says nothing about what is in it.

A body is fed with bytes and takes those that are its own. Its whole state is a few plain values, so that a
connection can be handed to another process in the middle of one.
"""

import re
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeAlias

from msgspec import Struct

from prefork.http.grammar import QUOTED_STRING, TOKEN, VALUE
from prefork.http.messages import Rejection

Sink: TypeAlias = Callable[[bytes], object]

LONGEST_SIZE: Final = 15  # digits, which are more than any limit and can't overflow
CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,%d}(?=[\t ]*+;|\Z)" % LONGEST_SIZE).match
# RFC 9112 §7.1.1. A quoted string that its line leaves open goes on in the next line for some proxies, so that they see
# an extension where a request begins: what breaks the grammar is refused.
_EXTENSION: Final = rb"[\t ]*+;[\t ]*+%b(?:[\t ]*+=[\t ]*+(?:%b|%b))?" % (TOKEN, TOKEN, QUOTED_STRING)
EXTENSIONS: Final = re.compile(rb"(?:%b)*" % _EXTENSION).fullmatch
TRAILER: Final = re.compile(TOKEN + rb":" + VALUE).fullmatch
LONGEST_TRAILERS: Final = 16 * 1024  # bytes


class FixedBody(Struct, tag=True):
    """A body whose length in bytes was given by Content-Length; raises Rejection 413 for one over the limit."""

    missing: int
    limit: int

    def __post_init__(self) -> None:
        if self.missing > self.limit:
            raise Rejection(413, "request body too large")

    def feed(self, data: bytes, sink: Sink) -> bytes | None:
        """Take what belongs to the body; return None while it goes on, else the bytes that follow it."""
        if len(data) < self.missing:
            self.missing -= len(data)
            sink(data)
            return None
        sink(data[: self.missing])
        return data[self.missing :]


class Part(Enum):
    """What a chunked body consists of (RFC 9112 §7.1)."""

    SIZE = "size line"
    DATA = "chunk data"
    END = "end of chunk data"
    TRAILERS = "trailer section"


class ChunkedBody(Struct, tag=True):
    """A body in chunks, of at most `left` bytes more; chunk extensions and trailer section are bounded, and dropped.

    All extensions together have at most `extensions_left` bytes (RFC 9112 §7.1.1).
    """

    left: int
    extensions_left: int
    part: Part = Part.SIZE
    missing: int = 0
    unread: bytes = b""
    trailers: int = 0

    def feed(self, data: bytes, sink: Sink) -> bytes | None:
        """Take what belongs to the body; return None while it goes on, else the bytes that follow it.

        Raises:
            Rejection: 400 for a malformed chunk, 413 when there are too many bytes, 431 for too long a trailer section.
        """
        data = self.unread + data
        while True:
            if self.part is Part.DATA:
                sink(data[: self.missing])
                if len(data) <= self.missing:
                    self.missing -= len(data)
                    self.unread = b""
                    return None
                data = data[self.missing :]
                self.part = Part.END
            line, found, rest = data.partition(b"\r\n")
            if not found:
                self._check(line.removesuffix(b"\r"))
                self.unread = line
                return None
            data = rest
            if self._take_line(line):
                return data

    def _check(self, line: bytes) -> None:
        """Refuse a line, whole or not yet, that has a bare line feed or is too long, whichever came first."""
        if self.part is Part.SIZE:
            room = LONGEST_SIZE + self.extensions_left
            if line.find(b"\n", 0, room) >= 0:
                raise Rejection(400, "malformed chunk size")
            if len(line) > room:
                raise Rejection(400, "chunk extensions too long")
        elif self.part is Part.END and line:
            raise Rejection(400, "chunk data longer than its size")
        elif self.part is Part.TRAILERS:
            room = LONGEST_TRAILERS - self.trailers
            if line.find(b"\n", 0, room) >= 0:
                raise Rejection(400, "malformed trailer field")
            if len(line) > room:
                raise Rejection(431, "trailer section too large")

    def _take_line(self, line: bytes) -> bool:
        """Take one line of the framing; return True when it was the last of the body."""
        self._check(line)
        if self.part is Part.SIZE:
            self._take_size(line)
        elif self.part is Part.END:
            self.part = Part.SIZE
        elif not line:
            return True
        else:
            self._take_trailer(line)
        return False

    def _take_size(self, line: bytes) -> None:
        size = CHUNK_SIZE(line)
        if size is None:
            raise Rejection(400, "malformed chunk size")
        self.extensions_left -= len(line) - size.end()
        if self.extensions_left < 0:
            raise Rejection(400, "chunk extensions too long")
        if not EXTENSIONS(line, size.end()):
            raise Rejection(400, "malformed chunk extension")
        self.missing = int(size[0], 16)
        self.left -= self.missing
        if self.left < 0:
            raise Rejection(413, "request body too large")
        self.part = Part.DATA if self.missing else Part.TRAILERS

    def _take_trailer(self, line: bytes) -> None:
        self.trailers += len(line)
        if not TRAILER(line):
            raise Rejection(400, "malformed trailer field")
