"""Forked workers, real but small: how they begin, how they end."""

import os
import re
import resource
import select
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from prefork.ipc.channel import Channel, Ready, Retire
from prefork.ipc.scoreboard import Scoreboard
from prefork.master.processes import IN_CHILD, Process, ending, fork
from prefork.master.stacks import Stacks
from tests.unit.descriptors import open_descriptors

ROW = Scoreboard().take()


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 10)[0])


def forked(work: Callable[[Channel], None], kept: Collection[int] | None = None) -> Process:
    return Process(*fork(work, kept), ROW, set(), Stacks(os.open(os.devnull, os.O_RDONLY)))


def ended(work: Callable[[Channel], None], kept: Collection[int] | None = None) -> str:
    """Fork a worker and return how it ended, in words."""
    process = forked(work, kept)
    assert readable(process.pidfd)
    return reaped(process)[0]


def reaped(process: Process) -> tuple[str, bool]:
    """Return how it ended, and close what is there of it."""
    try:
        return process.reap()
    finally:
        process.forget()


def waits(channel: Channel) -> None:
    channel.send(Ready())
    select.select([channel], [], [])


def waiting() -> Process:
    process = forked(waits)
    assert readable(process.channel.fileno())
    assert process.channel.receive() == (Ready(), [])
    return process


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (os.CLD_EXITED, 0, "exit status 0"),
        (os.CLD_EXITED, 3, "exit status 3"),
        (os.CLD_KILLED, signal.SIGKILL, "killed by SIGKILL"),
        (os.CLD_DUMPED, signal.SIGSEGV, "killed by SIGSEGV"),
        (os.CLD_KILLED, signal.SIGRTMIN + 6, "killed by signal 40"),
    ],
)
def test_an_end_is_said_in_words(code: int, status: int, words: str) -> None:
    assert ending(code, status) == words


def test_a_worker_that_has_done_its_work_exits_with_0() -> None:
    assert ended(lambda _channel: None) == "exit status 0"


def test_a_worker_that_fails_says_why_and_exits_with_1(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(_channel: Channel) -> None:
        raise RuntimeError("no such application")

    assert ended(fail) == "exit status 1"
    assert "RuntimeError: no such application" in capfd.readouterr().err


def test_a_worker_that_the_system_refuses_something_says_so_in_a_line_and_exits_with_71(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def ask_for_too_much(_channel: Channel) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        os.pipe()

    assert ended(ask_for_too_much) == "exit status 71"
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(
        r' error child\[\d+\] "?ended: refused by the system"? reason="Too many open files" at=processes.py:\d+$',
        line,
    )


def test_a_worker_that_wants_to_exit_does_so_without_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda _channel: sys.exit(77)) == "exit status 77"
    assert ended(lambda _channel: sys.exit("in words")) == "exit status 1"
    assert not capfd.readouterr().err


def leads_somewhere(path: str) -> bool:
    return os.path.exists(path) and os.readlink(path) != os.devnull


def test_a_worker_has_its_channel_what_is_kept_for_it_and_what_the_master_was_started_with() -> None:
    reader, writer = os.pipe()
    inherited = os.dup(reader)
    os.set_inheritable(inherited, True)  # noqa: FBT003 - it takes no name

    def tell(channel: Channel) -> None:
        found = {int(each) for each in os.listdir("/proc/self/fd") if leads_somewhere(f"/proc/self/fd/{each}")} | {0}
        others = found - {0, 1, 2, channel.fileno(), writer}
        os.write(
            writer, repr((len(found - others), inherited in others, all(map(os.get_inheritable, others)))).encode()
        )

    ended(tell, [writer])
    os.close(writer)
    os.close(inherited)
    with os.fdopen(reader) as told:
        assert told.read() == "(5, True, True)"


def test_what_is_the_masters_is_left_behind_without_proc_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str) -> list[str]:
        raise OSError

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "sysconf", lambda _name: 256)
    reader, writer = os.pipe()

    def tell(_channel: Channel) -> None:
        os.write(writer, os.readlink(f"/proc/self/fd/{reader}").encode())

    ended(tell, [writer])
    os.close(writer)
    with os.fdopen(reader) as told:
        assert told.read() == os.devnull


def test_what_is_left_behind_may_be_closed_by_whoever_opened_it() -> None:
    reader, writer = os.pipe()

    def go_on(_channel: Channel) -> None:
        ours, _ = os.pipe()
        os.close(reader)
        os.close(writer)
        os.fstat(ours)

    assert ended(go_on, ()) == "exit status 0"
    os.close(reader)
    os.close(writer)


def test_a_worker_is_killed_and_its_end_is_told() -> None:
    process = waiting()
    assert not select.select([process.pidfd], [], [], 0)[0]
    process.kill()
    assert readable(process.pidfd)
    process.kill()  # it is dead by now, and not reaped
    assert reaped(process) == ("killed by SIGKILL", True)
    assert not Path(f"/proc/{process.pid}").exists()


def test_master_and_worker_talk_through_the_channel() -> None:
    def obey(channel: Channel) -> None:
        channel.send(Ready())
        select.select([channel], [], [])
        assert channel.receive() == (Retire(1.0, for_good=True), [])

    process = forked(obey)
    assert readable(process.channel.fileno())
    process.channel.send(Retire(1.0, for_good=True))
    assert readable(process.pidfd)
    assert reaped(process) == ("exit status 0", False)


def test_the_channel_ends_with_the_worker() -> None:
    process = waiting()
    process.kill()
    assert readable(process.channel.fileno())
    assert process.channel.receive() is None
    reaped(process)


def test_a_sibling_does_not_keep_the_channel_of_a_worker_open() -> None:
    process = waiting()
    sibling = forked(waits, ())
    assert readable(sibling.channel.fileno())
    process.channel.close()  # as the master's death would: the worker sees the end of file, and goes
    assert readable(process.pidfd)
    assert reaped(process) == ("exit status 0", False)
    sibling.kill()
    assert readable(sibling.pidfd)
    reaped(sibling)


def test_signals_for_the_master_do_nothing_to_a_worker_that_only_begins() -> None:
    def work(_channel: Channel) -> None:
        actions = {number: signal.getsignal(number) for number in IN_CHILD}
        assert actions == dict(IN_CHILD)
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(IN_CHILD)

    assert ended(work) == "exit status 0"


def test_forking_leaves_the_masters_signals_and_descriptors_as_they_were() -> None:
    def seen() -> object:
        descriptors = open_descriptors()
        return descriptors, signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGTERM)

    before = seen()
    ended(lambda _channel: None)
    assert seen() == before
