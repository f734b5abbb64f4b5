"""The journal's native protocol, spoken to a real socket."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefork.logs.journal import MOST_WAITING, Entries, Journal, field, is_there
from tests.unit.descriptors import none_from
from tests.unit.journald import Journald


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    listening = Journald(tmp_path / "socket")
    yield listening
    listening.close()


@pytest.fixture
def journal(journald: Journald) -> Iterator[Journal]:
    journal = Journal("prefork-x", [("WORKER", 3), ("GENERATION", 2)], journald.path)
    yield journal
    journal.close()


def test_an_entry_is_one_datagram_of_fields(journal: Journal, journald: Journald) -> None:
    assert journal.write(field("MESSAGE", "hi") + journal.process)
    (entry,) = journald.entries()
    assert entry == {"MESSAGE": "hi", "SYSLOG_IDENTIFIER": "prefork-x", "WORKER": "3", "GENERATION": "2"}


def test_a_value_may_have_lines(journal: Journal, journald: Journald) -> None:
    journal.write(field("MESSAGE", "one\ntwo\nMESSAGE=three") + field("STATUS", 500))
    assert journald.entries() == [{"MESSAGE": "one\ntwo\nMESSAGE=three", "STATUS": "500"}]


def test_a_value_may_be_no_utf_8(journal: Journal, journald: Journald) -> None:
    journal.write(field("MESSAGE", "a\udcffb"))
    assert journald.entries() == [{"MESSAGE": "a\\udcffb"}]


def test_an_entry_that_is_too_large_for_a_datagram_goes_whole_all_the_same(
    journal: Journal, journald: Journald
) -> None:
    text = "x" * 3_000_000
    assert journal.write(field("MESSAGE", text))
    assert journald.entries() == [{"MESSAGE": text}]
    assert journald.seals == [fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE]


def test_a_journal_that_does_not_keep_up_holds_nobody_up(journal: Journal, journald: Journald) -> None:
    written = 0
    while journal.write(b"MESSAGE=x\n"):
        written += 1
    assert len(journald.entries()) == written
    assert journal.write(b"MESSAGE=x\n")


def test_a_journal_that_is_away_is_found_again(tmp_path: Path) -> None:
    journal = Journal("x", path=str(tmp_path / "socket"))
    assert not journal.write(b"MESSAGE=x\n")
    journald = Journald(tmp_path / "socket")
    assert journal.write(b"MESSAGE=x\n")
    journald.close()
    journal.close()


def test_a_journal_for_which_there_is_no_descriptor_yet_is_written_to_when_there_is(journald: Journald) -> None:
    with none_from(0):
        journal = Journal("x", path=journald.path)
        assert not journal.write(b"MESSAGE=x\n")
    assert journal.write(b"MESSAGE=y\n")
    assert journald.entries() == [{"MESSAGE": "y"}]
    journal.close()


def test_entries_wait_in_their_order_and_what_finds_no_room_is_counted(journal: Journal, journald: Journald) -> None:
    entries = Entries(journal)

    def entry(number: int) -> bytes:
        return b"MESSAGE=%06d\nPADDING=%b\n" % (number, b"x" * 4096)

    count = 0
    while not entries.lost:
        entries.add(entry(count))
        count += 1
    entries.add(entry(count))
    assert entries.lost == 2
    assert MOST_WAITING - len(entry(0)) < sum(map(len, entries._waiting)) <= MOST_WAITING
    read: list[str] = []
    while got := journald.entries():
        read += [each["MESSAGE"] for each in got]
        entries.flush()
    assert read == [f"{number:06d}" for number in range(count - 1)]
    entries.add(entry(count))
    assert len(journald.entries()) == 1


def test_an_entry_does_not_overtake_those_that_wait(tmp_path: Path) -> None:
    journal = Journal("x", path=str(tmp_path / "socket"))
    entries = Entries(journal)
    entries.add(b"MESSAGE=one\n")
    journald = Journald(tmp_path / "socket")
    entries.add(b"MESSAGE=two\n")
    entries.flush()
    assert [each["MESSAGE"] for each in journald.entries()] == ["one", "two"]
    journald.close()
    journal.close()


def test_what_still_waits_at_the_end_is_lost(tmp_path: Path) -> None:
    journal = Journal("x", path=str(tmp_path / "nowhere"))
    entries = Entries(journal)
    entries.add(b"MESSAGE=x\n")
    entries.add(b"MESSAGE=y\n")
    entries.flush()
    assert entries.lost == 0
    entries.give_up()
    assert entries.lost == 2
    journal.close()


def test_there_is_a_journal_where_there_is_its_socket(journald: Journald, tmp_path: Path) -> None:
    assert is_there(journald.path)
    assert not is_there(str(tmp_path / "nowhere"))
    assert not is_there(os.devnull)
