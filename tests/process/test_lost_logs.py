"""Whoever takes the logs can fail: a full disk, a reader that is gone or doesn't read. The service goes on."""

import fcntl
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTTIN, SIGUSR1

import pytest

from tests.process.clients import GET
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.waiting import until

UNIX = "unix:hello.sock"  # where to find a service that can't say where it listens
DISK = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=256k none "$0" && exec "$@"')
NO_DISK = subprocess.run((*DISK, "/mnt", "true"), capture_output=True, text=True, check=False).stderr.strip()
LOG_TO = ("sh", "-c", 'exec "$@" 2>"$0"')
ACCESS_LOG_TO = ("sh", "-c", 'exec "$@" >"$0"')
LINE = rb'127\.0\.0\.1 - - \[[^]]+\] "GET /\w* HTTP/1\.1" 200 13 "-" "-"'


def silent(start: Start, toml: str, *under: str) -> Hello:
    """Start it where the test can't read its log."""
    hello = start.launch(toml, bind=[UNIX], under=under)
    until((hello.folder / "hello.sock").exists, "the socket")
    hello.addresses = [UNIX]
    assert serves(hello)
    return hello


def serves(hello: Hello, count: int = 200) -> bool:
    client = hello.connect()
    client.send(GET * count)
    return all(client.answer().status == 200 for _ in range(count))


def replaces_and_resizes(hello: Hello) -> bool:
    """Tell whether the master does its work too; there were two workers."""
    victim = min(hello.wait_for_workers(2))
    os.kill(victim, SIGKILL)
    hello.wait_for_workers(2, without=[victim])
    hello.signal(SIGTTIN)
    hello.wait_for_workers(3)
    before = hello.worker_pids()
    hello.signal(SIGHUP)
    hello.wait_for_workers(2, without=before)
    return serves(hello)


@contextmanager
def pipe(path: Path) -> Iterator[int]:
    """Make a named pipe with a reader, to be read from or not."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield reader
    os.close(reader)


def told(reader: int, text: bytes) -> bytes:
    """Read from a pipe until a text has come."""
    received = b""

    def found() -> bool:
        nonlocal received
        with suppress(BlockingIOError):
            received += os.read(reader, 1 << 16)
        return text in received

    until(found, repr(text))
    return received


def test_a_full_disk_under_the_log_stops_nothing(start: Start) -> None:
    hello = silent(start, 'workers = 2\nlog = "/dev/full"')
    assert replaces_and_resizes(hello)


def test_a_full_disk_under_the_access_log_loses_lines_and_the_log_says_how_many(start: Start) -> None:
    hello = start('workers = 1\naccess_log = "/dev/full"')
    count = 0
    while "access log lines lost" not in hello.log:
        assert serves(hello)
        count += 200
    hello.leave()
    hello.stop()
    assert sum(map(int, re.findall(r"access log lines lost count=(\d+)", hello.log))) == count


def test_a_full_disk_under_the_access_log_is_told_once_before_a_line_is_lost(start: Start) -> None:
    hello = start('workers = 1\naccess_log = "/dev/full"')
    assert serves(hello, 1)
    hello.wait_for_log("error worker-0[")
    assert serves(hello, 1)
    hello.leave()
    hello.stop()
    told = re.findall(r"error worker-0\[\d+\] (.*)", hello.log)
    assert told == ['access log can\'t be written, lines wait path=/dev/full reason="No space left on device"']


@pytest.mark.skipif(bool(NO_DISK), reason=f"no file system can be mounted here: {NO_DISK}")
def test_a_disk_that_has_room_again_gets_what_waited_and_the_count_of_what_is_missing(start: Start) -> None:
    disk = start.folder / "disk"
    disk.mkdir()
    hello = silent(start, f'workers = 1\nlog = "{disk}/log"\naccess_log = "{disk}/access"', *DISK, str(disk))
    there = Path(f"/proc/{hello.master_pid}/root{disk}")
    log, access, ballast = there / "log", there / "access", there / "ballast"
    for path, filler in (ballast, bytes(1000)), (log, b"\n"):  # the log's last page too
        with suppress(OSError), path.open("ab", buffering=0) as file:
            while file.write(filler):
                pass
    for _ in range(100):
        hello.signal(SIGUSR1)
        assert serves(hello, 10)
    ballast.unlink()
    hello.signal(SIGUSR1)
    until(lambda: " log lines lost count=" in log.read_text(), "the count")
    until(lambda: len(access.read_text().splitlines()) == 1200, "all lines of the access log")


def test_nobody_reads_the_log(start: Start) -> None:
    fifo = start.folder / "fifo"
    with pipe(fifo) as reader:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        hello = silent(start, 'workers = 2\nlog_level = "debug"', *LOG_TO, str(fifo))
        assert replaces_and_resizes(hello)
        assert b"log lines lost" not in told(reader, b" starting ")
        hello.signal(SIGTTIN)
        told(reader, b" log lines lost count=")
    hello.wait_for_workers(3)
    hello.signal(SIGHUP)
    assert replaces_and_resizes(hello)  # now that the reader is gone
    assert hello.stop() == 0


def test_nobody_reads_the_access_log_and_what_comes_later_is_in_whole_lines(start: Start) -> None:
    fifo = start.folder / "fifo"
    with pipe(fifo) as reader:
        hello = start("workers = 2", "--access-log", "-", under=(*ACCESS_LOG_TO, str(fifo)))
        while hello.log.count("access log lines lost") < 2:
            assert serves(hello)
        received = told(reader, b"GET / ")

        def is_read() -> bool:
            nonlocal received
            hello.get("/later")
            with suppress(BlockingIOError):
                received += os.read(reader, 1 << 16)
            return b"/later" in received

        until(is_read, "the line of a request after that")
    *lines, _last = received.split(b"\n")
    assert [line for line in lines if not re.fullmatch(LINE, line) and b"python-requests" not in line] == []
    assert serves(hello)  # now that the reader is gone


def test_a_pipe_can_be_the_access_log_when_somebody_reads_it(start: Start) -> None:
    fifo = start.folder / "fifo"
    with pipe(fifo) as reader:
        hello = start(f'workers = 1\naccess_log = "{fifo}"')
        hello.get("/here")
        told(reader, b"GET /here HTTP/1.1")
    assert start.refused(f'access_log = "{fifo}"')[0] == 73


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(start: Start, closed: str) -> None:
    hello = silent(start, 'workers = 2\naccess_log = "-"', "sh", "-c", f'exec "$@" {closed}', "sh")
    assert replaces_and_resizes(hello)


CLOSING = """
import os

def answer(environ, start_response):
    if environ["PATH_INFO"] == "/closes":
        os.close(2)
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("for the log alone")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


def test_where_an_application_closes_standard_error_no_client_reads_the_log_in_its_place(start_app: Start) -> None:
    start_app.files["shop.py"] = CLOSING
    app = start_app('app = "shop:answer"\nworkers = 1')
    assert app.get("/closes").text == "ok"
    client = app.connect()
    assert client.ask().status == 200
    assert app.get("/fails").status_code == 500
    assert client.ask().body == b"ok"
