"""The log and the access log as entries of a journal, which is played here: it is put where systemd's would be."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGUSR2

import pytest

from tests.process.clients import Load
from tests.process.starting import Start
from tests.process.waiting import until
from tests.unit.journald import Journald

ALONE = ("unshare", "--mount", "--propagation", "private")
REFUSED = subprocess.run((*ALONE, "true"), capture_output=True, text=True, check=False).stderr
pytestmark = pytest.mark.skipif(bool(REFUSED), reason=REFUSED.strip())

TOML = 'workers = 2\nlog = "journald"\naccess_log = "journald"\n[hello]\nstatus = 500'


class Journal:
    """What was written so far, and how to run a service that writes there."""

    def __init__(self, folder: Path) -> None:
        self.entries: list[dict[str, str]] = []
        folder.mkdir()
        self._journald = Journald(folder / "socket")
        place = "/run/systemd/journal"
        script = f"mount -t tmpfs tmpfs /run; mkdir -p {place}; mount --bind {shlex.quote(str(folder))} {place}"
        self.under = (*ALONE, "sh", "-ec", f'{script}; exec "$@"', "sh")

    def wait_for(self, beginning: str = "", **fields: str) -> dict[str, str]:
        """Wait for an entry with these fields, whose message begins so, and return it."""

        def found() -> dict[str, str] | None:
            self.entries += self._journald.entries()
            found = (each for each in self.entries if fields.items() <= each.items())
            return next((each for each in found if each["MESSAGE"].startswith(beginning)), None)

        entry = until(found, f"an entry with {fields}")
        assert entry is not None
        return entry

    def close(self) -> None:
        self._journald.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    listening = Journal(tmp_path / "journal")
    yield listening
    listening.close()


def test_requests_and_events_are_entries_with_fields(start: Start, journal: Journal) -> None:
    hello = start.launch(TOML, bind=["127.0.0.1:0"], under=journal.under)
    listening = journal.wait_for("master listening ")
    hello.addresses = [listening["ADDRESS"]]
    ready = journal.wait_for("master ready ")
    assert (ready["PRIORITY"], ready["SYSLOG_IDENTIFIER"], ready["WORKERS"]) == ("6", "prefork-hello", "2")
    assert hello.connect().ask().status == 500
    request = journal.wait_for(STATUS="500")
    assert request["REQUEST"] == "GET / HTTP/1.1"
    assert request["REMOTE_ADDR"] == "127.0.0.1"
    assert request["WORKER"] in ("0", "1")
    assert request["GENERATION"] == "1"
    assert request["MESSAGE"].startswith("127.0.0.1 - - [")
    assert hello.log == ""


def test_a_reload_and_an_upgrade_go_on_in_the_journal(start: Start, journal: Journal) -> None:
    hello = start("workers = 1", under=journal.under)
    hello.descriptors.clear()  # the workers will have one more, for the journal
    hello.rewrite(TOML)
    hello.signal(SIGHUP)
    journal.wait_for("master reloaded ", GENERATION="2")
    hello.connect().ask()
    journal.wait_for(STATUS="500", GENERATION="2")
    hello.signal(SIGUSR2)
    journal.wait_for("master upgraded ", GENERATION="3")
    hello.connect().ask()
    journal.wait_for(STATUS="500", GENERATION="3")
    hello.reload("workers = 1")
    assert hello.connect().ask().status == 200


def test_a_journal_that_does_not_keep_up_loses_entries_and_holds_nobody_up(start: Start, journal: Journal) -> None:
    hello = start('workers = 1\naccess_log = "journald"', under=journal.under)
    with Load(hello.connect) as load:
        load.wait_for_more(5000)  # some MB of entries, and none is read
    assert load.lost == []
    hello.wait_for_log("access log lines lost count=")
