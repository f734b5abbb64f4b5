"""What is told to people, in the log, and to a service manager, at a real socket."""

import os
import re
import socket

import pytest

from prefork.ipc.channel import Failed
from prefork.logs.log import Log
from prefork.master.fleet import Ending, ReloadFailed, Wanted
from prefork.master.reports import Reports
from prefork.systemd import Notifier
from prefork.version import VERSION

Stderr = pytest.CaptureFixture[str]


@pytest.fixture
def reports(notifier: Notifier, monkeypatch: pytest.MonkeyPatch) -> Reports:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    return Reports(Log("master", "info"), notifier)


@pytest.fixture
def upgrading(reports: Reports, notifier: Notifier) -> Reports:
    return Reports(Log("master", "info"), notifier, "0.9")


def logged(capfd: Stderr) -> list[str]:
    """Return the log lines from their level on, without how long it took."""
    lines = capfd.readouterr().err.splitlines()
    return [
        re.sub(r"^\S+ (\w+) master\[\d+\]", r"\1", re.sub(r"seconds=\d+\.\d{3}", "seconds=…", line)) for line in lines
    ]


def told(service_manager: socket.socket, count: int) -> list[str]:
    return [service_manager.recv(4096).decode().partition("\n")[0] for _ in range(count)]


def test_ready_is_told_with_what_serves(reports: Reports, service_manager: socket.socket, capfd: Stderr) -> None:
    reports.ready(Wanted(4))
    assert logged(capfd) == ["info ready workers=4 seconds=…"]
    assert told(service_manager, 1) == ["READY=1"]


def test_a_reload_begins_with_reloading_and_ends_with_ready(
    reports: Reports, service_manager: socket.socket, capfd: Stderr
) -> None:
    reports.reloading(2)
    reports.reloaded(Wanted(4, 2))
    assert logged(capfd) == ["info reloading generation=2", "info reloaded generation=2 workers=4 seconds=…"]
    assert told(service_manager, 2) == ["RELOADING=1", "READY=1"]


def test_a_reload_that_fails_ends_with_ready_too_and_says_why(
    reports: Reports, service_manager: socket.socket, capfd: Stderr
) -> None:
    reports.reloading(2)
    reports.reload_failed(ReloadFailed(2, 1, "exit status 3"))
    assert logged(capfd)[1:] == ['error reload failed generation=2 kept=1 reason="exit status 3"']
    assert told(service_manager, 2) == ["RELOADING=1", "READY=1"]


def test_the_first_reload_of_another_version_is_an_upgrade_and_the_next_is_none(
    upgrading: Reports, service_manager: socket.socket, capfd: Stderr
) -> None:
    for generation in (2, 3):
        upgrading.reloading(generation)
        upgrading.reloaded(Wanted(4, generation))
    assert logged(capfd) == [
        f"info upgrading from=0.9 to={VERSION} generation=2",
        f"info upgraded from=0.9 to={VERSION} generation=2 workers=4 seconds=…",
        "info reloading generation=3",
        "info reloaded generation=3 workers=4 seconds=…",
    ]
    assert told(service_manager, 4) == ["RELOADING=1", "READY=1"] * 2


def test_an_upgrade_whose_workers_fail_is_over_too(upgrading: Reports, capfd: Stderr) -> None:
    for generation in (2, 3):
        upgrading.reloading(generation)
        upgrading.reload_failed(ReloadFailed(generation, 1, "exit status 3"))
    assert [line.partition(" generation=")[0] for line in logged(capfd)] == [
        f"info upgrading from=0.9 to={VERSION}",
        "error upgrade failed",
        "info reloading",
        "error reload failed",
    ]


def test_what_comes_of_a_mold_and_of_a_trial_that_fail_is_told(
    reports: Reports, service_manager: socket.socket, capfd: Stderr
) -> None:
    reports.mold_failed({"generation": 2}, Failed("wsgi:app: boom", 65, ("ValueError: boom",)))
    reports.upgrade_failed(1, "exit status 3")
    assert logged(capfd) == [
        'error mold can\'t get ready generation=2 reason="wsgi:app: boom"',
        'error traceback line="ValueError: boom"',
        'error upgrade failed kept=1 reason="exit status 3"',
    ]
    with pytest.raises(BlockingIOError):
        service_manager.recv(4096)


def test_what_the_system_refuses_is_told_with_the_place(reports: Reports, capfd: Stderr) -> None:
    try:
        os.stat("/no/such/file")
    except OSError as error:
        reports.refused(error)
    (line,) = logged(capfd)
    assert re.fullmatch(
        r'error refused by the system; goes on in a second reason="No such file or directory" at=test_reports\.py:\d+',
        line,
    )


def test_the_end_is_told_when_it_begins_and_when_it_is_reached(
    reports: Reports, service_manager: socket.socket, capfd: Stderr
) -> None:
    reports.stopping(Ending.GRACEFUL)
    reports.stopped()
    assert logged(capfd) == ["info stopping how=graceful", "info stopped"]
    assert told(service_manager, 1) == ["STOPPING=1"]


def test_workers_that_fail_alike_are_told_of_once_with_the_traceback(reports: Reports, capfd: Stderr) -> None:
    failed = Failed("wsgi:app: ValueError: boom (wsgi.py:3)", 65, ('  File "wsgi.py", line 3', "ValueError: boom"))
    for slot in (0, 1):
        reports.failed({"slot": slot}, failed)
    assert logged(capfd) == [
        'error worker can\'t get ready slot=0 reason="wsgi:app: ValueError: boom (wsgi.py:3)"',
        r'error traceback line="  File \"wsgi.py\", line 3"',
        'error traceback line="ValueError: boom"',
    ]
    reports.reloading(2)
    reports.failed({"slot": 0}, failed)
    assert len(logged(capfd)) == 4
    reports.failed({"slot": 2}, Failed("x.env:1: expected KEY=VALUE", 78))
    assert logged(capfd) == ['error worker can\'t get ready slot=2 reason="x.env:1: expected KEY=VALUE"']
