"""The mold's own side, with real forks; this process is neither its master nor a subreaper."""

import errno
import gc
import os
import resource
import select
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefork.ipc.channel import Channel, Fork, Forked, ForkFailed, Message, Ready, Reopen, TakeSeat, channel_pair
from prefork.ipc.scoreboard import REQUESTS, Scoreboard
from prefork.ipc.seat import Seat
from prefork.logs.files import LogFiles
from prefork.logs.log import STDERR, Log
from prefork.master.processes import fork
from prefork.run.mold import Mold, fork_apart, next_message, other_threads
from tests.unit.descriptors import open_descriptors


def nothing() -> None:
    pass


class Master:
    """The master's end of a mold whose workers do `work`."""

    def __init__(self, work: Callable[[Seat], None], prepare: Callable[[], object] = nothing) -> None:
        self.scoreboard = Scoreboard()
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.stacks = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

        def be(channel: Channel) -> None:
            prepare()
            seat = Seat(0, 7, (), channel, self.scoreboard.take(), self.scoreboard, null)
            Mold(seat, work, Log("mold", "info"), LogFiles()).run()

        self.pid, self.pidfd, self.channel = fork(be)
        os.close(null)

    def hear(self) -> Message | None:
        received = next_message(self.channel)
        return received[0] if received else None

    def ask(self) -> Channel:
        """Ask for a worker, and return the end of its channel."""
        ours, theirs = channel_pair()
        self.channel.send(Fork(), [theirs.fileno()])
        theirs.close()
        return ours

    def close(self) -> None:
        self.channel.close()
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        os.close(self.stacks)
        os.close(self.scoreboard.fd)


@pytest.fixture
def molded() -> Iterator[Callable[..., Master]]:
    masters: list[Master] = []

    def make(*given: Callable[..., object]) -> Master:
        masters.append(Master(*given))  # type: ignore[arg-type]
        assert masters[-1].hear() == Ready()
        return masters[-1]

    yield make
    for each in masters:
        each.close()


Molded = Callable[..., Master]


def answer_by_row(seat: Seat) -> None:
    """Write into the row who it is."""
    seat.row[REQUESTS] = 100 * seat.generation + 10 * seat.slot + len(seat.listeners)
    os.write(seat.stacks, b"x")
    seat.channel.send(Ready())


def test_a_worker_is_forked_and_takes_the_seat_that_it_is_given(molded: Molded) -> None:
    master = molded(answer_by_row)
    channel = master.ask()
    forked = master.hear()
    assert isinstance(forked, Forked)
    row = master.scoreboard.take()
    reader, writer = os.pipe()
    channel.send(TakeSeat(3, row.number), [writer, master.channel.fileno(), master.channel.fileno()])
    os.close(writer)
    assert next_message(channel) == (Ready(), [])
    assert row[REQUESTS] == 732
    assert os.read(reader, 2) == b"x"
    assert os.read(reader, 2) == b""  # nobody else has its end
    assert next_message(channel) is None
    channel.close()
    os.close(reader)


def test_a_worker_that_is_given_no_seat_ends_when_its_channel_does(molded: Molded) -> None:
    master = molded(lambda _seat: os._exit(9))
    channel = master.ask()
    forked = master.hear()
    assert isinstance(forked, Forked)
    pidfd = os.pidfd_open(forked.pid)
    assert not select.select([pidfd], [], [], 0)[0]
    channel.close()
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)


def test_a_worker_without_room_for_its_listeners_ends_and_says_why(
    molded: Molded, capfd: pytest.CaptureFixture[str]
) -> None:
    master = molded(answer_by_row)
    channel = master.ask()
    forked = master.hear()
    assert isinstance(forked, Forked)
    _soft, hard = resource.prlimit(forked.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(forked.pid, resource.RLIMIT_NOFILE, (100, hard))
    channel.send(TakeSeat(3, master.scoreboard.take().number), [master.stacks] * 200)
    assert next_message(channel) is None
    channel.close()
    assert 'refused by the system reason="Too many open files" at=mold.py:' in capfd.readouterr().err


@pytest.mark.parametrize(("prepare", "collecting"), [(nothing, 1), (gc.disable, 0)])
def test_what_is_there_is_frozen_for_the_workers_which_collect_if_the_application_does(
    molded: Molded, prepare: Callable[[], None], collecting: int
) -> None:
    def look(seat: Seat) -> None:
        seat.row[REQUESTS] = 2 * (gc.get_freeze_count() > 1000) + gc.isenabled()
        seat.channel.send(Ready())

    assert told_by(molded(look, prepare)) == 2 + collecting


def test_a_worker_has_no_way_to_the_master_but_its_own(molded: Molded) -> None:
    def look(seat: Seat) -> None:
        names = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
        seat.row[REQUESTS] = sum(os.readlink(name).startswith("socket:") for name in names if os.path.islink(name))
        seat.channel.send(Ready())

    assert told_by(molded(look)) == 1


def told_by(master: Master) -> int:
    channel = master.ask()
    assert isinstance(master.hear(), Forked)
    row = master.scoreboard.take()
    channel.send(TakeSeat(0, row.number), [master.stacks])
    assert next_message(channel) == (Ready(), [])
    channel.close()
    return row[REQUESTS]


def test_threads_are_named_once(molded: Molded, capfd: pytest.CaptureFixture[str]) -> None:
    def start() -> None:
        for name in ("poller", "flusher"):
            threading.Thread(target=threading.Event().wait, name=name, daemon=True).start()

    master = molded(nothing, start)
    for _ in range(2):
        channel = master.ask()
        assert isinstance(master.hear(), Forked)
        channel.close()
    assert capfd.readouterr().err.count("start them in post_fork names=flusher,poller\n") == 1


def test_a_thread_that_python_does_not_know_is_called_as_the_kernel_does(monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Event()
    over = threading.Event()

    def be_unknown() -> None:
        Path("/proc/thread-self/comm").write_text("native")
        started.set()
        over.wait()

    thread = threading.Thread(target=be_unknown)
    thread.start()
    started.wait()
    known = [each for each in threading.enumerate() if each is not thread]
    monkeypatch.setattr(threading, "enumerate", lambda: known)
    assert "native" in other_threads()
    over.set()
    thread.join()


def test_without_a_descriptor_for_the_worker_nothing_is_forked(molded: Molded) -> None:
    master = molded(nothing)
    master.channel.send(Fork())
    assert master.hear() == ForkFailed("Too many open files")


def test_a_system_that_refuses_is_told_and_asked_again(molded: Molded, tmp_path: Path) -> None:
    flag = tmp_path / "refused"
    fork_once = os.fork

    def refuse() -> None:
        def maybe() -> int:
            if flag.exists():
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return fork_once()

        os.fork = maybe

    flag.touch()
    master = molded(nothing, refuse)
    master.ask().close()
    assert master.hear() == ForkFailed("Resource temporarily unavailable")
    flag.unlink()
    master.ask().close()
    assert isinstance(master.hear(), Forked)


def test_a_refusal_of_the_second_fork_is_told_by_the_process_between(monkeypatch: pytest.MonkeyPatch) -> None:
    me, fork_once = os.getpid(), os.fork

    def only_here() -> int:
        if os.getpid() != me:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return fork_once()

    monkeypatch.setattr(os, "fork", only_here)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        fork_apart(nothing)


def test_a_process_between_that_ends_without_a_word_has_forked_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    me, fork_once = os.getpid(), os.fork

    def only_here() -> int:
        if os.getpid() != me:
            os._exit(9)
        return fork_once()

    monkeypatch.setattr(os, "fork", only_here)
    with pytest.raises(ChildProcessError):
        fork_apart(nothing)


def test_an_application_may_have_its_children_reaped_by_the_kernel() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert fork_apart(nothing) > 0
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_who_is_forked_apart_is_no_child_of_ours_and_leaves_nothing_open() -> None:
    before = open_descriptors()
    reader, writer = os.pipe()

    def work() -> None:
        os.write(writer, str(os.getpid()).encode())

    pid = fork_apart(work)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
    os.close(writer)
    assert os.read(reader, 100) == str(pid).encode()
    os.close(reader)
    assert open_descriptors() == before


def test_log_files_are_adopted(molded: Molded, tmp_path: Path) -> None:
    master = molded(nothing)
    with (tmp_path / "log").open("w") as file:
        master.channel.send(Reopen(), [file.fileno(), STDERR])  # more than it has: closed, and it goes on
    master.ask().close()
    assert isinstance(master.hear(), Forked)
