"""One call of an application: what start_response, write and the returned iterable come to (PEP 3333)."""

import gzip
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader, BytesIO
from pathlib import Path
from types import TracebackType
from typing import Never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.apps.answer_heads import HeaderError
from prefork.apps.exchange import IN_MEMORY, Exchange, FileWrapper, LengthError, Pieces


class Result:
    """An iterable that counts how often it is closed."""

    def __init__(self, *pieces: bytes) -> None:
        self.closed = 0
        self._pieces = iter(pieces)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self.closed += 1


def raised() -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """Return the exc_info of an exception."""
    try:
        return dict[str, Never]()["the application's"]
    except KeyError as error:
        return type(error), error, error.__traceback__


def pulled(pieces: Pieces) -> list[bytes]:
    found = []
    while (piece := pieces.pull()) is not None:
        found.append(piece)
    return found


# start_response


def test_each_head_is_what_was_said_for_it_though_the_application_changes_its_list() -> None:
    headers = [("X", "1")]
    blocks = []
    for added in ([], [("Y", "2")], [("Z", "3")], []):
        headers += added
        exchange = Exchange()
        exchange.start_response("200 OK", headers)
        assert exchange.head is not None
        blocks.append(exchange.head.block.removeprefix(b"HTTP/1.1 200 OK\r\n"))
    assert blocks == [b"X: 1\r\n", b"X: 1\r\nY: 2\r\n", *[b"X: 1\r\nY: 2\r\nZ: 3\r\n"] * 2]


def test_the_head_is_what_was_said() -> None:
    exchange = Exchange()
    write = exchange.start_response("404 Not Found", [("X", "1")])
    assert exchange.head is not None
    assert exchange.head.status == 404
    write(b"Hello")
    assert exchange.written is not None
    assert exchange.written.kept() == b"Hello"
    exchange.written.close()


def test_headers_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(HeaderError, match="a header must be a pair of strings"):
        Exchange().start_response("200 OK", [["X", "1"]])  # type: ignore[list-item]  # it is wrong


def test_a_second_head_is_refused_unless_there_was_an_error() -> None:
    exchange = Exchange()
    exchange.start_response("200 OK", [])
    with pytest.raises(AssertionError, match="a second time, without exc_info"):
        exchange.start_response("200 OK", [])
    exchange.start_response("500 Sorry", [], raised())
    assert exchange.head is not None
    assert exchange.head.status == 500


def test_an_error_before_the_first_head_is_only_another_way_to_say_it() -> None:
    exchange = Exchange()
    exchange.start_response("500 Sorry", [], raised())
    assert exchange.head is not None


def test_an_error_after_some_content_was_given_out_is_raised_again_with_its_traceback() -> None:
    exchange = Exchange()
    exchange.start_response("200 OK", [])
    pieces = Pieces(exchange, [b"one", b"two"])
    pieces.begin()
    exchange.start_response("500 Sorry", [], raised())  # nothing is given out yet
    pieces.pull()
    with pytest.raises(KeyError, match="the application's") as error:
        exchange.start_response("500 Sorry", [], raised())
    assert "raised" in {entry.name for entry in error.traceback}


@pytest.mark.parametrize("size", [10, IN_MEMORY + 1])
def test_an_error_page_takes_the_place_of_what_was_written_too(size: int) -> None:
    exchange = Exchange()
    exchange.start_response("200 OK", [])(b"x" * size)
    write = exchange.start_response("500 Sorry", [], raised())
    write(b"Sorry")
    pieces = Pieces(exchange, [b"!"])
    pieces.begin()
    assert pulled(pieces) == [b"Sorry", b"!"]
    pieces.close()


# write


@pytest.mark.parametrize("size", [10, IN_MEMORY])
def test_what_is_written_comes_before_what_is_returned(size: int) -> None:
    exchange = Exchange()
    write = exchange.start_response("200 OK", [])
    write(b"a" * size)
    write(b"b" * size)
    result = Result(b"c")
    pieces = Pieces(exchange, result)
    assert pieces.begin()
    assert b"".join(pulled(pieces)) == b"a" * size + b"b" * size + b"c"
    pieces.close()
    assert pieces.written is not None
    assert (pieces.written.file.closed, result.closed) == (True, 1)


def test_what_finds_no_room_is_said_to_who_writes_as_it_is() -> None:
    exchange = Exchange()
    write = exchange.start_response("200 OK", [])
    write(b"x" * (IN_MEMORY + 1))
    assert exchange.written is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, exchange.written.file.fileno())
    os.close(full)
    with pytest.raises(OSError, match="No space left on device"):
        write(b"x")
    exchange.written.close()


def test_what_is_written_is_closed_though_its_folder_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange()
    exchange.start_response("200 OK", [])(b"x" * (IN_MEMORY + 1))
    assert exchange.written is not None
    exchange.written.file.write(b"not written yet")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, exchange.written.file.fileno())
    os.close(full)
    result = Result()
    Pieces(exchange, result).close()
    assert result.closed == 1


def test_only_bytes_are_written() -> None:
    with pytest.raises(TypeError):
        Exchange().start_response("200 OK", [])("text")  # type: ignore[arg-type]


# Pieces


def test_empty_pieces_are_overlooked() -> None:
    pieces = Pieces(Exchange(), [b"", b"one", b"", b"two", b""])
    assert pieces.begin()
    assert pulled(pieces) == [b"one", b"two"]


@pytest.mark.parametrize("result", [[], [b""], [b"", b""], iter(())])
def test_of_nothing_there_is_no_first_piece(result: Iterable[bytes]) -> None:
    pieces = Pieces(Exchange(), result)
    assert not pieces.begin()


def test_what_is_no_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="the content must be bytes, got str"):
        Pieces(Exchange(), ["text"]).begin()  # type: ignore[list-item]


def test_a_result_is_closed_once() -> None:
    result = Result(b"one")
    pieces = Pieces(Exchange(), result)
    pieces.close()
    pieces.close()
    assert result.closed == 1


def test_what_closing_raises_is_raised_once() -> None:
    class Bad(Result):
        def close(self) -> None:
            raise KeyError

    pieces = Pieces(Exchange(), Bad())
    with pytest.raises(KeyError):
        pieces.close()
    pieces.close()


def test_a_result_that_can_not_be_iterated_is_closed_all_the_same() -> None:
    class Bad(Result):
        def __iter__(self) -> Iterator[bytes]:
            raise KeyError

    result = Bad()
    pieces = Pieces(Exchange(), result)
    with pytest.raises(KeyError):
        pieces.begin()
    pieces.close()
    assert result.closed == 1


@given(pieces=st.lists(st.binary(max_size=5), max_size=8), length=st.integers(0, 40))
def test_no_more_comes_than_content_length_says_and_less_is_told(pieces: list[bytes], length: int) -> None:
    content = b"".join(pieces)
    found = Pieces(Exchange(), pieces)
    found.begin()
    found.expect(length)
    taken: list[bytes] = []
    missing = ""
    try:
        while (piece := found.pull()) is not None:
            assert piece
            taken.append(piece)
    except LengthError as error:
        missing = str(error)
    less = f"{length - len(content)} bytes fewer than Content-Length says"
    assert missing == (less if len(content) < length else "")
    assert b"".join(taken) == content[:length]
    assert (found.excess > 0) == (len(content) > length)


@pytest.mark.parametrize("written", [b"", b"123456"])
def test_of_what_never_ends_no_more_is_asked_for_than_content_length_says(written: bytes) -> None:
    exchange = Exchange()
    exchange(written)
    found = Pieces(exchange, itertools.repeat(b"789"))
    found.begin()
    found.expect(5)
    assert b"".join(pulled(found)) == (written or b"78978")[:5]
    assert (found.excess, found.pull()) == (1, None)
    found.close()


def test_what_an_application_does_after_its_last_piece_is_done() -> None:
    done = []

    def application() -> Iterator[bytes]:
        yield b"Hello"
        done.append(True)

    found = Pieces(Exchange(), application())
    found.begin()
    found.expect(5)
    assert (pulled(found), done) == ([b"Hello"], [True])


# Files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"0123456789")
    return tmp_path / "file"


@pytest.mark.parametrize(("length", "left"), [(None, 7), (3, 3), (7, 7), (100, 7)])
def test_a_file_is_sent_from_where_it_is_up_to_its_end_or_content_length(
    path: Path, length: int | None, left: int
) -> None:
    with path.open("rb") as file:
        file.read(3)
        found = FileWrapper(file).file(length)
        assert found is not None
        assert (found.fd, found.offset, found.left) == (file.fileno(), 3, left)


def test_of_a_file_that_is_read_beyond_its_end_nothing_is_left(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(100)
        found = FileWrapper(file).file(None)
        assert found is not None
        assert found.left == 0


def pipe(_path: Path) -> object:
    reader, writer = os.pipe()
    os.write(writer, b"0123456789")
    os.close(writer)
    return os.fdopen(reader, "rb")


def device(_path: Path) -> object:
    return Path("/dev/null").open("rb")


def made_by_the_kernel(_path: Path) -> object:
    return Path("/proc/self/cmdline").open("rb")


def closed(path: Path) -> object:
    with path.open("rb") as file:
        return file


def compressed(path: Path) -> gzip.GzipFile:
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return gzip.open(packed)


def buffered(path: Path) -> object:
    return BufferedReader(compressed(path))


class NoFile:
    """Something with read() alone."""

    def __init__(self, _path: Path) -> None:
        self.read = BytesIO(b"0123456789").read


@pytest.mark.parametrize(
    "like",
    [lambda _path: BytesIO(b"0123456789"), pipe, device, made_by_the_kernel, closed, compressed, buffered, NoFile],
)
def test_what_is_no_regular_file_is_not_sent_by_the_kernel(path: Path, like: Callable[[Path], object]) -> None:
    filelike = like(path)
    wrapped = FileWrapper(filelike)
    assert wrapped.file(None) is None
    getattr(wrapped, "close", bool)()


@pytest.mark.parametrize("like", [lambda _path: BytesIO(b"0123456789"), pipe, compressed, buffered, NoFile])
def test_it_is_read_in_blocks_instead_and_closed_if_it_can_be(path: Path, like: Callable[[Path], object]) -> None:
    wrapped = FileWrapper(like(path), 4)
    assert list(wrapped) == [b"0123", b"4567", b"89"]
    assert hasattr(wrapped, "close") is (like is not NoFile)
    getattr(wrapped, "close", bool)()
