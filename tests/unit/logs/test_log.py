"""The log: what stands in a line, what can't get into one, what happens when writing fails."""

import os
import re
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.logs.journal import Journal
from prefork.logs.log import LINE_BYTES, STDERR, Log, _timestamp
from tests.unit.journald import Journald
from tests.unit.logs.written import Stderr, after_process


def test_a_line_has_time_level_process_event_and_fields_in_order(capfd: Stderr) -> None:
    Log("master", "info").info("worker ready", slot=3, pid=812, boot_ms=41)
    line = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}\+00:00 info master\[{os.getpid()}\] worker ready slot=3 pid=812 boot_ms=41\n"
    assert re.fullmatch(line, capfd.readouterr().err)


def test_the_moment_is_told_in_utc_to_the_millisecond() -> None:
    assert _timestamp(1_700_000_000_999_999_999) == "2023-11-14T22:13:20.999+00:00"
    assert _timestamp(1_700_000_000_007_000_000) == "2023-11-14T22:13:20.007+00:00"


def test_a_field_may_be_called_event(capfd: Stderr) -> None:
    Log("master", "info").info("event", event="named as the event")
    assert after_process(capfd.readouterr().err) == 'event event="named as the event"\n'


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


def test_a_line_that_a_full_disk_has_cut_ends_before_the_next_begins(tmp_path: Path) -> None:
    opened = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(opened, STDERR)
    os.close(opened)
    log, limits = Log("master", "info"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        log.info("cut")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.info("whole")
    log.info("another")
    cut, _, others = (tmp_path / "log").read_text().partition("\n")
    assert len(cut) == 20
    assert after_process(others) == "log lines lost count=1\nwhole\nanother\n"


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
