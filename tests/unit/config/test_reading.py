"""What is read, and what is refused, of all that a path may lead to."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from prefork.config.reading import UnfitFileError, exit_status, read_regular, read_regular_or_pipe


def test_a_regular_file_is_read_also_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\r\nb")
    (tmp_path / "link").symlink_to("file")
    for path in (f"{tmp_path}/file", f"{tmp_path}/link"):
        assert read_regular(path) == read_regular_or_pipe(path) == b"a\r\nb"


def test_a_fifo_a_socket_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "fifo", tmp_path / "socket", Path("/dev/zero"), Path(os.devnull)):
            with pytest.raises(UnfitFileError, match="Not a regular file") as refused:
                read_regular(str(path))
            assert (refused.value.filename, exit_status(refused.value)) == (str(path), 78)
        for path in (tmp_path / "socket", Path("/dev/zero")):
            with pytest.raises(UnfitFileError, match="Not a regular file"):
                read_regular_or_pipe(str(path))


def test_what_somebody_writes_into_a_pipe_is_read_to_its_end() -> None:
    size = 2**22  # many times what the pipe holds: it is read faster than it is written
    with subprocess.Popen(("head", "-c", str(size), "/dev/zero"), stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        content = read_regular_or_pipe(f"/dev/fd/{writer.stdout.fileno()}")
    assert content == bytes(size)


def test_what_somebody_writes_into_a_pipe_is_read_once() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"workers = 2")
    os.close(writer)
    assert read_regular_or_pipe(f"/dev/fd/{reader}") == b"workers = 2"
    with pytest.raises(UnfitFileError, match="A pipe that nobody writes to"):
        read_regular_or_pipe(f"/dev/fd/{reader}")
    os.close(reader)


def test_a_fifo_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UnfitFileError, match="A pipe that nobody writes to") as refused:
        read_regular_or_pipe(str(tmp_path / "fifo"))
    assert exit_status(refused.value) == 78


def test_the_null_device_is_an_empty_configuration() -> None:
    assert read_regular_or_pipe(os.devnull) == b""


def test_what_the_system_refuses_has_the_status_of_its_reason(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as folder:
        read_regular(str(tmp_path))
    assert exit_status(folder.value) == 66
    assert exit_status(PermissionError()) == 77
