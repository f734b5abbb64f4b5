"""The files of the logs: how they are opened, opened afresh, and given to workers."""

import os
import socket
from pathlib import Path

import pytest

from prefork.logs.files import LogFiles
from prefork.logs.log import STDERR, STDOUT, Log
from tests.unit.descriptors import open_descriptors
from tests.unit.logs.written import after_process


def test_log_files_are_appended_to_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch(0o640)
    path.write_text("before\n")
    LogFiles(str(path))
    os.write(STDERR, b"after\n")
    assert path.read_text() == "before\nafter\n"
    access = LogFiles(access_log=str(tmp_path / "access"))
    assert (tmp_path / "access").stat().st_mode & 0o137 == 0
    access.close()


def test_a_log_that_can_not_be_opened_leaves_no_access_log_open(tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(FileNotFoundError) as failure:
        LogFiles(str(tmp_path / "missing" / "log"), str(tmp_path / "access"))
    assert failure.value.filename == str(tmp_path / "missing" / "log")
    assert open_descriptors() == before


def test_reopening_after_a_rename_goes_on_in_new_files_at_the_same_numbers(tmp_path: Path) -> None:
    log_path, access_path = tmp_path / "log", tmp_path / "access"
    files = LogFiles(str(log_path), str(access_path))
    assert files.access_fd is not None
    log_path.rename(tmp_path / "log.1")
    access_path.rename(tmp_path / "access.1")
    log = Log("master", "info")
    log.info("before")
    assert files.reopen(log) == (files.access_fd, STDERR)
    assert [os.get_inheritable(fd) for fd in (files.access_fd, STDERR)] == [False, True]
    log.info("after")
    os.write(files.access_fd, b"request\n")
    files.close()
    assert (tmp_path / "log.1").read_text().endswith("before\n")
    assert after_process(log_path.read_text()) == "after\n"
    assert access_path.read_text() == "request\n"


def test_a_file_that_can_not_be_reopened_goes_on_and_the_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "log"
    files = LogFiles(str(path))
    (tmp_path / "folder").rename(tmp_path / "moved")
    files.reopen(Log("master", "info"))
    told = after_process((tmp_path / "moved" / "log").read_text())
    assert told == f'log file not reopened path={path} reason="No such file or directory"\n'


def test_a_worker_adopts_descriptors_in_the_place_of_its_own(tmp_path: Path) -> None:
    files = LogFiles(str(tmp_path / "log"), str(tmp_path / "access"))
    before = open_descriptors()
    flags = os.O_WRONLY | os.O_CREAT
    files.adopt([os.open(tmp_path / "access.new", flags), os.open(tmp_path / "log.new", flags)])
    assert files.access_fd is not None
    os.write(files.access_fd, b"request\n")
    os.write(STDERR, b"event\n")
    assert open_descriptors() == before
    files.close()
    assert (tmp_path / "access.new").read_text() == "request\n"
    assert (tmp_path / "log.new").read_text() == "event\n"


def test_a_worker_with_other_files_than_it_is_sent_keeps_its_own(tmp_path: Path) -> None:
    files = LogFiles(str(tmp_path / "log"))
    before = open_descriptors()
    files.adopt([os.open(os.devnull, os.O_WRONLY), os.open(os.devnull, os.O_WRONLY)])
    os.write(STDERR, b"event\n")
    assert open_descriptors() == before
    assert (tmp_path / "log").read_text() == "event\n"


def test_files_that_another_program_has_opened_are_opened_afresh_by_their_paths(tmp_path: Path) -> None:
    former = LogFiles(str(tmp_path / "log"), str(tmp_path / "access"))
    before = open_descriptors()
    files = LogFiles.taken_over(former.paths, former.access_fd)
    (tmp_path / "access").rename(tmp_path / "access.1")
    assert files.reopen(Log("master", "info")) == (former.access_fd, STDERR)
    assert files.access_fd is not None
    os.write(files.access_fd, b"request\n")
    assert open_descriptors() == before
    files.close()
    assert (tmp_path / "access").read_text() == "request\n"


@pytest.mark.parametrize("fd", [STDOUT, STDERR])
def test_a_pipe_waits_for_nobody_any_more_and_does_so_for_those_whose_it_is_too(fd: int) -> None:
    saved, (reader, writer) = os.dup(fd), os.pipe()
    os.dup2(writer, fd)
    try:
        LogFiles()
        assert (os.get_blocking(fd), os.get_blocking(writer)) == (False, True)
        assert os.get_inheritable(fd)
        os.write(fd, b"x")
    finally:
        os.dup2(saved, fd)
    assert os.read(reader, 2) == b"x"
    for each in saved, reader, writer:
        os.close(each)


def test_a_file_that_the_caller_has_chosen_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    opened = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND)
    os.dup2(opened, STDERR)
    os.close(opened)
    LogFiles()
    os.write(STDERR, b"after\n")
    assert (tmp_path / "log").read_text() == "before\nafter\n"


def test_a_socket_waits_for_nobody_any_more() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.dup2(ours.fileno(), STDERR)
        LogFiles()
        assert not os.get_blocking(STDERR)


def test_files_that_go_on_after_others_have_taken_their_place_have_standard_error_back(tmp_path: Path) -> None:
    LogFiles(str(tmp_path / "stderr"))
    files, before = LogFiles(), open_descriptors()
    files.save_stderr()
    LogFiles(str(tmp_path / "log"))
    files.take_back_stderr()
    os.write(STDERR, b"here\n")
    assert (tmp_path / "stderr").read_text() == "here\n"
    assert open_descriptors() == before
    reader, writer = os.pipe()  # of the numbers that were free again
    files.close()
    os.close(reader)
    os.close(writer)


def test_files_that_are_given_up_let_go_of_standard_error(tmp_path: Path) -> None:
    files, before = LogFiles(), open_descriptors()
    files.save_stderr()
    LogFiles(str(tmp_path / "log"))
    files.close()
    files.take_back_stderr()
    os.write(STDERR, b"there\n")
    assert (tmp_path / "log").read_text() == "there\n"
    assert open_descriptors() == before


def test_standard_error_is_nothing_to_files_whose_log_has_a_path(tmp_path: Path) -> None:
    files, before = LogFiles(str(tmp_path / "log")), open_descriptors()
    files.save_stderr()
    assert open_descriptors() == before
