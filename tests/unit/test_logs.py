"""The log and the access log: what stands in a line, what can't get into one, what happens when writing fails."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.journal import Journal
from prefork.logs import ACCESS_BYTES, LINE_BYTES, STDERR, AccessLog, Log, LogFiles, tell_losses
from tests.unit.journald import Journald


@pytest.fixture(autouse=True)
def saved_stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    saved = os.dup(STDERR)
    yield
    os.dup2(saved, STDERR)
    os.close(saved)


Stderr = pytest.CaptureFixture[str]


def open_descriptors() -> list[str]:
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


def after_process(lines: str) -> str:
    return re.sub(r"^.*?\] ", "", lines, flags=re.MULTILINE)


def test_a_line_has_time_level_process_event_and_fields_in_order(capfd: Stderr) -> None:
    Log("master", "info").info("worker ready", slot=3, pid=812, boot_ms=41)
    line = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}\+00:00 info master\[{os.getpid()}\] worker ready slot=3 pid=812 boot_ms=41\n"
    assert re.fullmatch(line, capfd.readouterr().err)


def test_less_important_lines_than_the_level_are_left_out_and_the_level_may_change(capfd: Stderr) -> None:
    log = Log("master", "warning")
    log.error("one")
    log.warning("two")
    log.info("three")
    log.debug("four")
    log.level = "debug"
    log.debug("five")
    assert after_process(capfd.readouterr().err) == "one\ntwo\nfive\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain/path:80", "plain/path:80"),
        ("größe", "größe"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "no"', r'"say \"no\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nbreak", r'"line\nbreak"'),
        ("\x1b[31mred", r'"\x1b[31mred"'),
        ("c1\x9b31m", r'"c1\x9b31m"'),
        ("right\u202eleft", r'"right\u202eleft"'),
        ("separator\u2028", r'"separator\u2028"'),
        ("raw\udcff", r'"raw\udcff"'),
        (b"GET / HTTP/1.1\r\n", r'"GET / HTTP/1.1\r\n"'),
        (None, "None"),
    ],
)
def test_a_value_that_is_not_one_plain_word_is_quoted_and_escaped(capfd: Stderr, value: object, written: str) -> None:
    Log("master", "info").info("event", value=value)
    assert after_process(capfd.readouterr().err) == f"event value={written}\n"


@given(text=st.text(max_size=3 * LINE_BYTES))
def test_no_value_makes_more_than_one_printable_line_of_bounded_length(text: str) -> None:
    reader, writer = os.pipe()
    os.dup2(writer, STDERR)
    Log("master", "info").info("event", value=text)
    line = os.read(reader, 2 * LINE_BYTES)
    os.close(reader)
    os.close(writer)
    assert len(line) <= LINE_BYTES
    assert line.endswith(b"\n")
    assert line[:-1].decode().isprintable()


def test_an_event_can_not_start_a_second_line(capfd: Stderr) -> None:
    Log("master", "info").info("one\ntwo")
    assert after_process(capfd.readouterr().err) == "one\\ntwo\n"


def test_a_line_that_is_too_long_is_cut_between_characters(capfd: Stderr) -> None:
    Log("master", "info").info("event", value="ü" * LINE_BYTES)
    line = capfd.readouterr().err
    assert LINE_BYTES - 1 <= len(line.encode()) <= LINE_BYTES
    assert line.endswith("ü…\n")


def test_lines_that_could_not_be_written_are_counted_by_the_next_that_can(capfd: Stderr) -> None:
    log = Log("master", "info")
    working = os.dup(STDERR)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, STDERR)
    log.info("lost")
    os.close(STDERR)
    log.info("lost too")
    os.dup2(working, STDERR)
    log.info("written")
    log.info("written too")
    os.close(full)
    os.close(working)
    assert after_process(capfd.readouterr().err) == "log lines lost count=2\nwritten\nwritten too\n"


def test_a_full_pipe_does_not_stop_the_process() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.dup2(writer, STDERR)
    log = Log("master", "info")
    for _ in range(200):
        log.info("event", value="x" * 1000)
    while len(os.read(reader, 1 << 20)) == 1 << 20:
        pass
    log.info("after")
    told = os.read(reader, 1 << 20).decode()
    os.close(reader)
    os.close(writer)
    assert re.search(r"log lines lost count=\d+\n.* after\n$", told)


def test_the_journal_gets_a_priority_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.dup2(writer, STDERR)
    status = os.fstat(STDERR)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    Log("master", "info").warning("event")
    told = os.read(reader, LINE_BYTES)
    os.close(reader)
    os.close(writer)
    assert told == b"<4>master[%d] event\n" % os.getpid()


def test_a_stderr_that_was_redirected_away_from_the_journal_is_no_journal(
    capfd: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    Log("master", "info").warning("event")
    assert " warning master[" in capfd.readouterr().err


def test_a_process_without_stderr_can_log_and_nothing_comes_of_it() -> None:
    os.close(STDERR)
    log = Log("master", "info")
    log.info("event")
    assert log._lost == 1


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


def test_a_log_file_serves_a_process_that_was_started_without_stderr(tmp_path: Path) -> None:
    os.close(STDERR)
    LogFiles(str(tmp_path / "log"))
    Log("master", "info").info("event", event="named as the event")
    assert after_process((tmp_path / "log").read_text()) == 'event event="named as the event"\n'


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
    assert told() == """access log can't be written, lines wait reason="No space left on device"\n"""
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


def test_with_a_journal_each_event_is_an_entry_with_fields(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    journald = Journald(tmp_path / "socket")
    journal = Journal("prefork-x", [], journald.path)
    log = Log("master", "info", journal)
    log.error("worker failed", slot=3, pid=8, generation=2, reason='"a"\nb', message="own")
    log.debug("not of this level")
    (entry,) = journald.entries()
    assert entry.pop("CODE_FILE") == __file__
    assert entry.pop("CODE_LINE").isdecimal()
    assert entry.pop("CODE_FUNC") == "test_with_a_journal_each_event_is_an_entry_with_fields"
    assert entry == {
        "MESSAGE": r'master worker failed slot=3 pid=8 generation=2 reason="\"a\"\nb" message=own',
        "PRIORITY": "3",
        "WORKER": "3",
        "WORKER_PID": "8",
        "GENERATION": "2",
        "REASON": r'"a"\nb',
        "SYSLOG_IDENTIFIER": "prefork-x",
    }
    assert capfd.readouterr().err == ""
    journald.close()
    journal.close()


def test_entries_that_are_lost_are_counted_by_the_next(tmp_path: Path) -> None:
    journal = Journal("prefork-x", [], str(tmp_path / "socket"))
    log = Log("master", "info", journal)
    log.info("one")
    log.info("two")
    journald = Journald(tmp_path / "socket")
    log.info("three")
    messages = [each["MESSAGE"] for each in journald.entries()]
    assert messages == ["master log lines lost count=2", "master three"]
    journald.close()
    journal.close()
