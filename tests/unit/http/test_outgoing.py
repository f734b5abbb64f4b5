"""Streams on their way to clients, framed so that each knows where they end (RFC 9112 §6)."""

import pytest

from prefork.http.answers import AnswerHead, File, Pending, Stream
from prefork.http.messages import CLOSE, FRAMINGS, KEEP, KEEP_SAID, Framing, Request
from prefork.http.outgoing import Outgoing
from prefork.http.response import Renderer

BLOCK = b"HTTP/1.1 200 OK\r\n"


class Source:
    def __init__(self, *pieces: bytes | Pending | None) -> None:
        self.closed = 0
        self._pieces = list(pieces)

    def pull(self) -> bytes | Pending | None:
        return self._pieces.pop(0)

    def close(self) -> None:
        self.closed += 1


def outgoing(
    source: Source, length: int | None = None, *, minor: int = 1, framing: str = "keep", file: File | None = None
) -> Outgoing:
    framings: dict[str, Framing] = {
        "keep": FRAMINGS[KEEP, False], "said": FRAMINGS[KEEP_SAID, False], "close": FRAMINGS[CLOSE, False],
    }  # fmt: skip
    stream = Stream(AnswerHead(200, BLOCK, length), source.pull, source.close, file)
    return Outgoing(stream, Request(b"GET", b"/", minor, b""), framings[framing])


@pytest.mark.parametrize(
    ("minor", "framing", "length", "head", "goes_on"),
    [
        (1, "keep", 5, b"", True),
        (1, "keep", None, b"Transfer-Encoding: chunked\r\n", True),
        (1, "close", 5, b"Connection: close\r\n", False),
        (1, "close", None, b"Transfer-Encoding: chunked\r\nConnection: close\r\n", False),
        (0, "said", 5, b"Connection: keep-alive\r\n", True),
        (0, "said", None, b"Connection: close\r\n", False),  # its end is the connection's
        (0, "close", None, b"Connection: close\r\n", False),
    ],
)
def test_a_client_is_told_how_it_learns_the_end(
    minor: int, framing: str, length: int | None, head: bytes, *, goes_on: bool
) -> None:
    found = outgoing(Source(), length, minor=minor, framing=framing)
    assert found.head(Renderer()) == BLOCK + head + b"\r\n"
    assert found.framing.keep_alive is goes_on


@pytest.mark.parametrize(
    ("length", "minor", "sent"),
    [(8, 1, [b"Hello", b"you", b""]), (None, 0, [b"Hello", b"you", b""]),
     (None, 1, [b"5\r\nHello\r\n", b"3\r\nyou\r\n", b"0\r\n\r\n"])],
)  # fmt: skip
def test_pieces_are_framed_and_counted_to_the_end(length: int | None, minor: int, sent: list[bytes]) -> None:
    source = Source(b"Hello", b"you", None)
    found = outgoing(source, length, minor=minor)
    assert [found.pull(), found.over, found.pull(), found.over, found.pull(), found.over] == [
        sent[0], False, sent[1], False, sent[2], True,
    ]  # fmt: skip
    assert found.content == 8
    found.close()
    assert source.closed == 1


def test_a_piece_that_comes_later_is_framed_then() -> None:
    pending = Pending()
    found = outgoing(Source(pending))
    assert found.pull() is pending
    assert (found.content, found.over) == (0, False)
    pending.finish(b"Hello")
    assert found.framed(pending.piece()) == b"5\r\nHello\r\n"


def test_the_content_of_a_file_is_counted_from_the_beginning() -> None:
    file = File(3, 0, 100)
    found = outgoing(Source(None), 100, file=file)
    assert (found.file, found.content) == (file, 100)
    assert (found.pull(), found.over) == (b"", True)
