"""Makes streams of bytes that nearly are requests, from the corpus; the same ones again from the same seed."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.corpus import CASES

SEEDS: Final = tuple(case.sent for case in CASES)
MOST_SENT: Final = 40_000  # bytes a stream
SPICES: Final = (
    b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\x00", b" ", b"\t", b":", b",", b";", b"%", b"\xff", b"0", b"5", b"-1", b"fffffffffffffff",
    b"HTTP/1.1", b"HTTP/1.0", b"Host: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"a" * 5000, b"X: y\r\n" * 99,
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"http://", b"[::1]", b"*", b"\x16\x03\x01",
)  # fmt: skip


def flip(stream: bytes, at: int, random: Random) -> bytes:
    """Change one byte."""
    return stream[:at] + bytes([random.randrange(256)]) + stream[at + 1 :]


def drop(stream: bytes, at: int, random: Random) -> bytes:
    """Leave out a few bytes."""
    return stream[:at] + stream[at + random.randrange(1, 20) :]


def repeat(stream: bytes, at: int, random: Random) -> bytes:
    """Say a few bytes again and again."""
    end = at + random.randrange(1, 60)
    return stream[:end] + stream[at:end] * random.choice((1, 2, 100)) + stream[end:]


def season(stream: bytes, at: int, random: Random) -> bytes:
    """Put in something that means something."""
    return stream[:at] + random.choice(SPICES) + stream[at:]


def splice(stream: bytes, at: int, random: Random) -> bytes:
    """Go on with a part of another seed."""
    other = random.choice(SEEDS)
    return stream[:at] + other[random.randrange(len(other)) :]


def cut_off(stream: bytes, at: int, random: Random) -> bytes:
    """End too early."""
    return stream[:at]


MUTATIONS: Final[Sequence[Callable[[bytes, int, Random], bytes]]] = (
    flip,
    flip,
    drop,
    repeat,
    season,
    season,
    splice,
    cut_off,
)


def stream(random: Random) -> bytes:
    """Return some seeds with some mutations."""
    made = b"".join(random.choices(SEEDS, k=random.choice((1, 1, 2, 3))))
    for _ in range(random.choice((0, 1, 1, 2, 4, 8))):
        made = random.choice(MUTATIONS)(made, random.randrange(len(made) + 1), random)
    return made[:MOST_SENT]


def pieces(made: bytes, random: Random) -> list[bytes]:
    """Return the stream as it is sent: at once, in a few pieces, or the beginning of it byte by byte."""
    count = random.choice((1, 1, 2, 4))
    edges = sorted(random.randrange(len(made) + 1) for _ in range(count - 1))
    if random.randrange(20) == 0:
        edges = list(range(min(len(made), 80)))
    return [piece for start, end in zip([0, *edges], [*edges, len(made)], strict=True) if (piece := made[start:end])]
