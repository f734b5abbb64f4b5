"""System calls of the master that fail, by strace(1): the log says which, and nothing else comes of it."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from signal import SIGHUP, SIGKILL, SIGTTOU, SIGUSR1, SIGUSR2
from typing import Final

import pytest

from tests.process import proc
from tests.process.clients import Load
from tests.process.hello import ANY_PORT, Hello
from tests.process.injecting import failing, needs_strace, strace
from tests.process.starting import Start
from tests.process.waiting import until

APPLICATION: Final = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
REFUSED: Final = " error master[%d] refused by the system; goes on in a second reason="
pytestmark = needs_strace


def kinds(hello: Hello) -> Sequence[str]:
    """Return what the master's descriptors are."""
    return sorted(re.sub(r"\d+", "", each) for each in proc.descriptors(hello.master_pid).values())


def inodes(pid: int) -> set[int]:
    """Return those of the files that a process has open."""
    found = set()
    for fd in proc.descriptors(pid):
        with suppress(FileNotFoundError):  # it was closed meanwhile
            found.add(os.stat(f"/proc/{pid}/fd/{fd}").st_ino)
    return found


@pytest.mark.parametrize(
    ("call", "error"), [("recvmsg", "ENOMEM"), ("waitid", "EIO"), ("sendmsg", "ETOOMANYREFS"), ("recvfrom", "ENOMEM")]
)
def test_a_reload_is_completed_whichever_call_of_it_fails(start: Start, call: str, error: str) -> None:
    hello = start("workers = 1")
    hello.reload("workers = 1")
    hello.wait_for_log("worker exited")
    before = kinds(hello)
    with Load(hello.connect, keep_alive=1, fresh=1) as load:
        for ordinal in count(1):
            before_it = len(hello.log)
            with failing(hello.master_pid, call, error, str(ordinal)) as failed:
                hello.reload("workers = 1")
                hello.wait_for_log("worker exited", before_it)
                has_failed = failed()
            if not has_failed:
                break
        load.wait_for_more()
    assert (ordinal > 1, load.lost) == (True, [])
    until(lambda: kinds(hello) == before, "all descriptors to be closed")


def test_a_reload_that_is_refused_an_option_of_its_last_socket_resets_no_connection(start: Start) -> None:
    hello = start("workers = 1")
    with Load(hello.connect, keep_alive=0) as load:
        for _ in range(3):
            with failing(hello.master_pid, "setsockopt", "ENOMEM", "300+"):  # 128 for 63 more sockets, then 256
                hello.rewrite("workers = 64")
                hello.hang_up("reload failed ")
        load.wait_for_more()
    assert load.lost == []


def test_a_unix_socket_is_known_again_whichever_look_at_its_file_fails(start: Start) -> None:
    hello = start("workers = 1")
    for ordinal in count(1):
        bind = [*ANY_PORT, f"unix:{ordinal}.sock"]
        before = len(hello.log)
        with failing(hello.master_pid, "newfstatat", "ENOMEM", str(ordinal)) as failed:
            hello.rewrite("workers = 1", bind)
            hello.signal(SIGHUP)
            until(lambda: re.search(r" reload(ed| failed) ", hello.log[before:]), "its outcome")  # noqa: B023 - the same
            has_failed = failed()
        if not has_failed:
            break
        hello.reload("workers = 1", bind)
    assert ordinal > 1


@pytest.mark.parametrize("ordinal", [4, 5, 6])
def test_a_worker_that_can_not_be_watched_yet_is_no_other_than_the_one_that_serves(start: Start, ordinal: int) -> None:
    """The first three make the master forget the dead one."""
    hello = start("workers = 2")
    before = kinds(hello)
    survivor, victim = hello.in_slots()
    with failing(hello.master_pid, "epoll_ctl", "ENOSPC", str(ordinal)) as failed:
        os.kill(victim, SIGKILL)
        hello.wait_for_log(REFUSED % hello.master_pid + '"No space left on device" at=poller.py:')
        after = hello.wait_for_log(" worker ready slot=1 pid=", hello.log.index("worker exited"))
        assert ["EPOLL_CTL_ADD" in each for each in failed()] == [True]
    (successor,) = hello.wait_for_workers(2) - {survivor}
    assert hello.log[after:].startswith(f"{successor} ")
    assert kinds(hello) == before
    hello.reload("workers = 2")
    assert hello.get().status_code == 200


def test_a_worker_that_can_not_be_told_to_leave_is_told_later(start: Start) -> None:
    hello = start("workers = 1\ngraceful_timeout = 3600")
    with failing(hello.master_pid, "sendmsg", "ENOBUFS", "1"):
        assert hello.stop() == 0
    assert re.search(
        r' error master\[\d+\] not told pid=\d+ message=Retire reason="No buffer space available"', hello.log
    )


def test_a_socket_that_can_not_be_given_to_who_stays_is_given_later(start: Start) -> None:
    hello = start("workers = 2")
    with failing(hello.master_pid, "sendmsg", "ENOBUFS", "1") as failed:
        hello.signal(SIGTTOU)
        hello.wait_for_log("worker exited")
        assert [hello.get().status_code for _ in range(20)] == [200] * 20
        assert len(failed()) == 1
    assert re.search(
        r' error master\[\d+\] not told pid=\d+ message=Listen reason="No buffer space available"', hello.log
    )


@pytest.mark.parametrize("mold", ["", '\npreload = "mold"'])
def test_log_files_that_can_not_be_given_to_a_worker_are_given_later(start_app: Start, mold: str) -> None:
    start_app.files["shop.py"] = APPLICATION
    app = start_app(f'app = "shop:app"\nworkers = 2\naccess_log = "access"{mold}')
    (app.folder / "access").rename(app.folder / "access.1")
    with failing(app.master_pid, "sendmsg", "ENOBUFS", "1..2") as failed:
        app.signal(SIGUSR1)
        app.wait_for_log("log files reopened")
        until(lambda: len(failed()) == 2, "two messages to be refused")
    fresh = (app.folder / "access").stat().st_ino
    for pid in proc.children(app.master_pid):  # the mold among them
        until(lambda: fresh in inodes(pid), "the new access log in each process")  # noqa: B023 - it is over then


def test_a_mold_that_can_not_be_asked_for_a_worker_fails_the_reload_at_once(start_app: Start) -> None:
    start_app.files["shop.py"] = APPLICATION
    app = start_app('app = "shop:app"\nworkers = 1\npreload = "mold"')
    before = kinds(app)
    with failing(app.master_pid, "sendmsg", "ETOOMANYREFS", "1"):
        app.hang_up('reload failed generation=2 kept=1 reason="can\'t fork: Too many references: cannot splice"')
    app.reload('app = "shop:app"\nworkers = 1\npreload = "mold"')
    until(lambda: kinds(app) == before, "all descriptors to be closed")


@pytest.mark.parametrize(("call", "error"), [("waitid", "EIO"), ("pread64", "EIO")])
def test_a_trial_that_can_not_be_judged_at_once_stands_in_no_later_upgrades_way(
    start: Start, call: str, error: str
) -> None:
    hello = start("workers = 1")
    good = (hello.folder / "hello.toml").read_text()
    hello.rewrite('workers = "many"')
    with failing(hello.master_pid, call, error, "1") as failed:
        hello.signal(SIGUSR2)
        hello.wait_for_log("upgrade failed kept=1 reason=")
        assert len(failed()) == 1
    (hello.folder / "hello.toml").write_text(good)
    hello.signal(SIGUSR2)
    hello.wait_for_log(" upgraded from=")


def test_a_pid_file_that_can_not_be_locked_is_73(start: Start) -> None:
    status, error = start.refused('pid_file = "pid"', under=(*strace("flock", "ENOLCK", "1"), "--output=strace"))
    assert (status, error) == (
        73,
        "prefork-hello: error: pid_file pid: can't be locked: No locks available; choose another path",
    )
