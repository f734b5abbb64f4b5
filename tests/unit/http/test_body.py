"""Where a body ends, by Content-Length and in chunks, however it arrives.

bytes taken + bytes returned = bytes fed: what follows a body is the next request's, to the byte.
"""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.http.body import LONGEST_SIZE, LONGEST_TRAILERS, ChunkedBody, FixedBody
from prefork.http.content import drop
from prefork.http.messages import Rejection

NO_LIMIT = 10**9
EXTENSIONS = 16 * 1024

Pieces = Callable[[bytes], list[bytes]]


def feed(
    body: FixedBody | ChunkedBody, pieces: Sequence[bytes], sink: Callable[[bytes], object] = drop
) -> bytes | int | None:
    """Return what follows the body, None when it goes on, or the status with which it is refused."""
    for number, piece in enumerate(pieces):
        try:
            rest = body.feed(piece, sink)
        except Rejection as rejection:
            return rejection.status
        if rest is not None:
            return rest + b"".join(pieces[number + 1 :])
    return None


def chunked(*pieces: bytes, limit: int = NO_LIMIT) -> bytes | int | None:
    return feed(ChunkedBody(limit, EXTENSIONS), pieces)


def at_once(data: bytes) -> list[bytes]:
    return [data]


def by_bytes(data: bytes) -> list[bytes]:
    return [bytes([each]) for each in data]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]


cuts = st.lists(st.integers(0, 1000), max_size=8)


# Content-Length (RFC 9112 §6.2)


@given(content=st.binary(min_size=1, max_size=50), rest=st.binary(max_size=20), cuts=cuts)
def test_a_body_of_known_length_ends_after_its_length_rfc9112_6_2(content: bytes, rest: bytes, cuts: list[int]) -> None:
    taken: list[bytes] = []
    assert feed(FixedBody(len(content), NO_LIMIT), split(content + rest, cuts), taken.append) == rest
    assert b"".join(taken) == content


def test_a_body_goes_on_until_its_last_byte_rfc9112_6_2() -> None:
    body = FixedBody(3, NO_LIMIT)
    assert [body.feed(each, drop) for each in (b"a", b"b", b"cd")] == [None, None, b"d"]


def test_a_body_may_be_as_long_as_the_limit_and_no_longer_rfc9110_15_5_14() -> None:
    assert FixedBody(5, limit=5).feed(b"12345", drop) == b""
    with pytest.raises(Rejection) as caught:
        FixedBody(6, limit=5)
    assert caught.value.status == 413


# Chunks (RFC 9112 §7.1)


def test_a_chunked_body_ends_with_its_last_chunk_and_an_empty_line_rfc9112_7_1() -> None:
    assert chunked(b"5\r\nHello\r\n2\r\n, \r\n0\r\n\r\nGET /") == b"GET /"


def test_an_empty_chunked_body_ends_at_once_rfc9112_7_1() -> None:
    assert chunked(b"0\r\n\r\n") == b""


@pytest.mark.parametrize(
    "line",
    [b"1A", b"1a", b"1A;b", b"1a \t;b", b"1a; \tb", b"1a;b \t=c", b"1a;b= \tc", b'1a;b="c \\" d"', b"1a;b=c;d ; e"],
)
def test_a_chunk_size_is_hexadecimal_with_extensions_that_are_overlooked_rfc9112_7_1_1(line: bytes) -> None:
    assert chunked(line + b"\r\n" + b"a" * 26 + b"\r\n0\r\n\r\nGET /") == b"GET /"


@st.composite
def chunk_lines(draw: st.DrawFn, size: int) -> bytes:
    digits = draw(st.sampled_from([b"%x", b"%X", b"%03x", b"%015x"])) % size
    return (
        digits + draw(st.sampled_from([b"", b"", b";a", b" ; a=b", b'\t;a="b c"', b";a;b", b';a="\xe9\\""'])) + b"\r\n"
    )


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    return draw(chunked_contents())[0]


@st.composite
def chunked_contents(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body in chunks, and its content."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=20) | st.sampled_from([b"\r\n", b"0\r\n\r\n"]), max_size=5))
    encoded = b"".join(draw(chunk_lines(len(chunk))) + chunk + b"\r\n" for chunk in chunks)
    trailers = draw(st.lists(st.sampled_from([b"X: a\r\n", b"Y:\r\n", b"Content-Length: 5\r\n"]), max_size=3))
    return encoded + draw(chunk_lines(0)) + b"".join(trailers) + b"\r\n", b"".join(chunks)


@given(body=chunked_contents(), rest=st.binary(max_size=20), cuts=cuts)
def test_any_split_of_a_chunked_body_gives_its_content_and_leaves_what_follows_it(
    body: tuple[bytes, bytes], rest: bytes, cuts: list[int]
) -> None:
    encoded, content = body
    for pieces in (split(encoded + rest, cuts), [*by_bytes(encoded), rest]):
        taken: list[bytes] = []
        assert feed(ChunkedBody(NO_LIMIT, EXTENSIONS), pieces, taken.append) == rest
        assert b"".join(taken) == content


@given(body=chunked_bodies(), cut=st.integers(1, 1000))
def test_a_chunked_body_without_its_end_goes_on(body: bytes, cut: int) -> None:
    assert chunked(body[: -1 - cut % len(body)] or b"1") is None


@given(body=chunked_bodies(), at=st.integers(0, 1000), byte=st.binary(min_size=1, max_size=2), cuts=cuts)
def test_any_split_of_any_bytes_says_the_same(body: bytes, at: int, byte: bytes, cuts: list[int]) -> None:
    at %= len(body)
    mutated = body[:at] + byte + body[at + 1 :]
    assert chunked(*split(mutated, cuts)) == chunked(mutated) == chunked(*by_bytes(mutated))


@pytest.mark.parametrize(
    "line",
    [
        b"", b" 5", b"5 ", b"5\t", b"+5", b"-5", b"0x5", b"5h", b"5_0", b"g", b";a", b"5,", b"5 a", b"5 5", b"\xb25",
        b"1234567890abcdef", b"5;a\x00", b"5;a\x7f", b"5;a\rb", b"5;a\nb", b"5;\r", b"5\r", b"5\n0", b"\n5", b"5\x0b",
    ],
)  # fmt: skip
def test_a_malformed_chunk_size_is_refused_rfc9112_7_1(line: bytes) -> None:
    data = line + b"\r\nHello\r\n0\r\n\r\n"
    assert chunked(data) == chunked(*by_bytes(data)) == 400


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"5;", "malformed chunk extension"),
        (b'5;a="b', "malformed chunk extension"),
        (b"5 ; a=b c", "malformed chunk extension"),
        (b"5 a;b", "malformed chunk size"),
        (b"0x5;", "malformed chunk size"),
    ],
)
def test_it_is_told_which_part_of_a_size_line_is_malformed_rfc9112_7_1_1(line: bytes, reason: str) -> None:
    with pytest.raises(Rejection) as caught:
        ChunkedBody(NO_LIMIT, EXTENSIONS).feed(line + b"\r\n", drop)
    assert caught.value.reason == reason


@pytest.mark.parametrize("data", [b"5\r\nHello\n0\r\n\r\n", b"5\r\nHello0\r\n\r\n", b"5\r\nHello!\r\n0\r\n\r\n"])
def test_chunk_data_ends_with_its_size_and_a_line_break_rfc9112_7_1(data: bytes) -> None:
    assert chunked(data) == chunked(*by_bytes(data)) == 400


def test_chunk_data_that_is_too_long_is_refused_before_its_line_ends_rfc9112_7_1() -> None:
    assert chunked(b"5\r\nHello!") == 400
    assert chunked(b"5\r\nHello\rx") == 400


@pytest.mark.parametrize("begun", [b"5\n", b"\n", b"5;a\n", b"5\r\nHello\r\n0\n", b"0\r\nX: a\n", b"0\r\nX: a\r\n\n"])
def test_a_bare_line_feed_in_the_framing_is_refused_before_its_line_ends_rfc9112_2_2(begun: bytes) -> None:
    assert chunked(begun[:-1]) is chunked(*by_bytes(begun[:-1])) is None
    assert chunked(begun) == chunked(*by_bytes(begun)) == 400


OF_LINES = [
    *(bytes([each]) for each in b"5f; :X\r\n\0"),
    b"\r\n",
    b"a" * (EXTENSIONS + LONGEST_SIZE - 3),
    b"a" * LONGEST_TRAILERS,
]


@given(start=st.sampled_from([b"", b"0\r\n"]), parts=st.lists(st.sampled_from(OF_LINES), max_size=6))
def test_a_line_of_the_framing_is_refused_alike_however_it_arrives(start: bytes, parts: list[bytes]) -> None:
    def refusal(*pieces: bytes) -> str:
        body = ChunkedBody(100, EXTENSIONS)
        try:
            for piece in pieces:
                if body.feed(piece, drop) is not None:
                    return "the end"
        except Rejection as rejection:
            return f"{rejection.status} {rejection.reason}"
        return "goes on"

    assert refusal(start + b"".join(parts)) == refusal(start, *parts)


def test_the_chunks_of_a_body_are_bounded_together_rfc9110_15_5_14() -> None:
    assert chunked(b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", limit=5) == b""
    assert chunked(b"2\r\nab\r\n4\r\n", limit=5) == 413
    assert chunked(b"fffffffffffffff\r\n", limit=5) == 413


@pytest.mark.parametrize("pieces", [at_once, by_bytes])
def test_the_extensions_of_a_chunk_are_bounded_rfc9112_7_1_1(pieces: Pieces) -> None:
    longest = b"1;".ljust(1 + EXTENSIONS, b"a")
    assert chunked(*pieces(longest + b"\r\na\r\n0\r\n\r\n")) == b""
    assert chunked(*pieces(longest + b"a\r\na\r\n0\r\n\r\n")) == 400


def test_a_chunk_line_without_end_is_refused_when_it_is_too_long_rfc9112_7_1_1() -> None:
    assert chunked(b"1;".ljust(LONGEST_SIZE + EXTENSIONS, b"a")) is None
    assert chunked(b"1;".ljust(LONGEST_SIZE + EXTENSIONS + 1, b"a")) == 400


@pytest.mark.parametrize("pieces", [at_once, by_bytes])
@pytest.mark.parametrize("count", [1, 8, 1024])
def test_the_extensions_of_a_body_are_bounded_together_rfc9112_7_1_1(pieces: Pieces, count: int) -> None:
    chunks = (b"1;".ljust(1 + EXTENSIONS // count, b"a") + b"\r\na\r\n") * count
    assert chunked(*pieces(chunks + b"0\r\n\r\n")) == b""
    assert chunked(*pieces(chunks + b"0;\r\n\r\n")) == 400


# The trailer section (RFC 9112 §7.1.2)


@pytest.mark.parametrize(
    "line",
    [
        b"X",
        b"X : a",
        b" X: a",
        b": a",
        b"X: a\rb",
        b"X: a\nb",
        b"X: a\x00",
        b"X: a\x7f",
        b"X\xe9: a",
        b"X: a\r",
        b"\r",
        b"\n",
    ],
)
def test_a_malformed_trailer_field_is_refused_rfc9112_7_1_2(line: bytes) -> None:
    data = b"0\r\n" + line + b"\r\n\r\n"
    assert chunked(data) == chunked(*by_bytes(data)) == 400


def test_a_folded_trailer_field_is_refused_rfc9112_5_2() -> None:
    assert chunked(b"0\r\nX: a\r\n b\r\n\r\n") == 400


@pytest.mark.parametrize("pieces", [at_once, by_bytes])
@pytest.mark.parametrize("count", [1, 4])
def test_the_trailer_section_is_bounded_rfc9110_6_5(pieces: Pieces, count: int) -> None:
    lines = [b"X:".ljust(LONGEST_TRAILERS // count, b"a")] * count
    assert chunked(*pieces(b"0\r\n" + b"\r\n".join(lines) + b"\r\n\r\n")) == b""
    assert chunked(*pieces(b"0\r\n" + b"\r\n".join(lines) + b"a\r\n\r\n")) == 431


def test_a_trailer_section_without_end_is_refused_when_it_is_too_long_rfc9110_6_5() -> None:
    assert chunked(b"0\r\nX:".ljust(3 + LONGEST_TRAILERS, b"a")) is None
    assert chunked(b"0\r\nX:".ljust(3 + LONGEST_TRAILERS + 1, b"a")) == 431
