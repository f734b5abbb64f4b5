"""The access log: lines that are written together, and those that find no room."""

import os
from pathlib import Path

import pytest

from prefork.logs.access import ACCESS_BYTES, AccessLog, tell_losses
from prefork.logs.files import LogFiles
from prefork.logs.journal import Entries, Journal
from prefork.logs.log import Log
from tests.unit.logs.written import after_process


def test_access_lines_are_written_together_by_flush(tmp_path: Path) -> None:
    files = LogFiles(access_log=str(tmp_path / "access"))
    assert files.access_fd is not None
    access = AccessLog(files.access_fd)
    access.add(b"one\n")
    access.add(b"two\n")
    assert (tmp_path / "access").read_bytes() == b""
    access.flush()
    access.flush()
    files.close()
    assert (tmp_path / "access").read_bytes() == b"one\ntwo\n"


def test_more_lines_than_may_wait_are_written_at_once(tmp_path: Path) -> None:
    access = AccessLog(os.open(tmp_path / "access", os.O_WRONLY | os.O_CREAT))
    line = b"x" * 999 + b"\n"
    count = 3 * ACCESS_BYTES // len(line)
    for _ in range(count):
        access.add(line)
    assert 0 < len(access._waiting) <= ACCESS_BYTES
    access.flush()
    os.close(access.fd)
    assert (tmp_path / "access").read_bytes() == line * count
    assert access.lost == 0


def test_a_line_that_is_longer_than_what_a_pipe_takes_at_once_is_written_all_the_same() -> None:
    reader, writer = os.pipe()
    access = AccessLog(writer)
    access.add(b"x" * 5000 + b"\n")
    access.flush()
    assert os.read(reader, 1 << 20) == b"x" * 5000 + b"\n"
    os.close(reader)
    os.close(writer)


def test_what_a_slow_reader_leaves_behind_is_written_later_in_whole_lines_and_the_rest_is_counted() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    access = AccessLog(writer)
    line = b"x" * 999 + b"\n"
    added = 4 * ACCESS_BYTES // len(line)
    for _ in range(added):
        access.add(line)
        access.flush()
    received = os.read(reader, 1 << 20)
    access.flush()
    while access._waiting:
        received += os.read(reader, 1 << 20)
        access.flush()
    received += os.read(reader, 1 << 20)
    os.close(reader)
    os.close(writer)
    assert access.problem == ""  # a slow reader is none
    assert 0 < access.lost < added
    assert received == line * (added - access.lost)


def test_that_an_access_log_waits_for_a_disk_is_told_once_and_its_end_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    access, log = AccessLog(os.open("/dev/full", os.O_WRONLY)), Log("worker-0", "info")

    def told() -> str:
        access.flush()
        tell_losses(access, log)
        return after_process(capfd.readouterr().err)

    assert told() == ""
    access.add(b"one\n")
    assert told() == """access log can't be written, lines wait path=/dev/full reason="No space left on device"\n"""
    access.add(b"two\n")
    assert told() == ""
    room = os.open(tmp_path / "access", os.O_WRONLY | os.O_CREAT)
    os.dup2(room, access.fd)
    assert told() == "access log is written again\n"
    assert told() == ""
    assert (tmp_path / "access").read_text() == "one\ntwo\n"
    os.close(room)
    os.close(access.fd)


def test_an_access_log_on_a_full_disk_stays_bounded() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    access = AccessLog(full)
    for _ in range(3):
        access.add(b"x" * (ACCESS_BYTES // 2))
    access.flush()
    os.close(full)
    assert access.lost == 1
    assert len(access._waiting) == ACCESS_BYTES


def test_what_still_waits_at_the_end_is_lost_and_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    access, log = AccessLog(full), Log("worker-0", "info")
    access.add(b"one\n")
    access.add(b"two\n")
    access.flush()
    os.close(full)
    access.give_up()
    assert access.lost == 2
    for _ in range(2):
        tell_losses(access, log)
    told = after_process(capfd.readouterr().err).splitlines()
    assert told == [
        """access log can't be written, lines wait path="" reason="No space left on device\"""",
        "access log lines lost count=2",
    ]


def test_entries_that_the_journal_did_not_take_are_told_as_lines_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    journal = Journal("x", path=str(tmp_path / "nowhere"))
    entries = Entries(journal)
    entries.add(b"MESSAGE=x\n")
    entries.give_up()
    tell_losses(entries, Log("worker-0", "info"))
    journal.close()
    assert after_process(capfd.readouterr().err) == "access log lines lost count=1\n"


def test_to_a_pipe_whole_lines_are_written_up_to_the_size_that_is_not_mixed_with_others() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    access = AccessLog(writer)
    line = b"x" * 1499 + b"\n"
    for _ in range(60):
        access.add(line)
    access.flush()
    read = os.read(reader, 1 << 20)
    assert access._waiting
    assert len(read) % len(line) == 0
    os.close(reader)
    os.close(writer)
