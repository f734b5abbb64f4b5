"""The content of a request, in memory or in a temporary file."""

import os
import tempfile
from collections.abc import Iterator
from io import BytesIO, UnsupportedOperation
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.apps.content import MOST_MOVED, NO_CONTENT, KeptContent
from prefork.http.messages import Rejection


@pytest.fixture
def content() -> Iterator[KeptContent]:
    content = KeptContent(10)
    yield content
    content.close()


@given(st.lists(st.binary(max_size=8), max_size=8))
def test_what_was_written_is_read_wherever_it_was_kept(pieces: list[bytes]) -> None:
    content = KeptContent(10)
    for piece in pieces:
        content.write(piece)
    content.file.seek(0)
    assert content.file.read() == b"".join(pieces)
    assert content.size == sum(map(len, pieces))
    assert isinstance(content.file, BytesIO) is (content.size <= 10)
    assert content.kept() == (b"".join(pieces) if content.size <= 10 else None)
    content.close()


def test_a_temporary_file_has_no_name_and_is_gone_when_it_is_closed(
    content: KeptContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    content.write(b"x" * 11)
    assert list(tmp_path.iterdir()) == []
    fd = content.file.fileno()
    assert os.readlink(f"/proc/self/fd/{fd}").startswith(str(tmp_path))
    content.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_what_is_too_much_for_a_parcel_does_not_move() -> None:
    content = KeptContent(10 * MOST_MOVED)
    content.write(b"x" * MOST_MOVED)
    assert content.kept() is not None
    content.write(b"x")
    assert content.kept() is None


@pytest.mark.parametrize("more", [1, 1_000_000])
def test_where_there_is_no_room_the_client_is_told(content: KeptContent, more: int) -> None:
    content.write(b"x" * 11)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, content.file.fileno())
    os.close(full)
    with pytest.raises(Rejection, match="507"):
        content.write(b"x" * more)
    content.close()
    assert content.file.closed


def test_where_there_is_no_folder_for_it_the_client_is_told_too(
    content: KeptContent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(Rejection, match="507"):
        content.write(b"x" * 11)


def test_nothing_can_be_read_of_no_content_and_nobody_closes_it() -> None:
    NO_CONTENT.close()
    with NO_CONTENT as file:
        assert (file.read(), file.readline(), file.readlines(), list(file)) == (b"", b"", [], [])
    assert not NO_CONTENT.closed


def test_nobody_leaves_anything_in_no_content_for_the_next_request() -> None:
    for write in (NO_CONTENT.write, lambda data: NO_CONTENT.writelines([data])):
        with pytest.raises(UnsupportedOperation):
            write(b"left behind")
    NO_CONTENT.seek(0)
    assert NO_CONTENT.read() == b""
