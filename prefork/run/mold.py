"""The mold: a child of the master that has loaded the application once, and is there to be forked.

What it has loaded its workers share, as long as nobody writes to it: the garbage collector does, so that all there is
is frozen before each fork (gc.freeze). Each worker becomes a child of the master, which is the subreaper: it is forked
by a process in between that ends at once. Only when that one has been reaped is the pid told, so that then it is true.

The worker waits for its seat. One that is no longer wanted meets the end of its channel instead.
"""

import gc
import os
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from errno import ECHILD, EMFILE
from mmap import mmap
from select import POLLIN, poll
from struct import Struct
from typing import Final

from prefork.ipc.channel import Channel, Fork, Forked, ForkFailed, Message, Ready, Reopen, TakeSeat
from prefork.ipc.seat import Seat
from prefork.kernel import read
from prefork.logs.files import LogFiles
from prefork.logs.log import Log
from prefork.master.processes import fork_child

PID: Final = Struct("i")  # or an errno, below 0


class Mold:
    """A process that has loaded what its workers need for `work`. It has a seat too, without listeners."""

    def __init__(self, seat: Seat, work: Callable[[Seat], None], log: Log, files: LogFiles) -> None:
        self._seat = seat
        self._channel = seat.channel
        self._work = work
        self._log = log
        self._files = files
        # The application may not want it. While it was imported it went on: without it, memory was 0 to 3 % more.
        self._collecting = gc.isenabled()
        self._threads: list[str] = []

    def run(self) -> None:
        """Fork as often as the master asks for it, until the end of its channel."""
        gc.disable()
        self._say(Ready())
        while received := next_message(self._channel):
            match received:
                case Fork(), fds:
                    self._say(self._fork(fds))
                case Reopen(), fds:
                    self._files.adopt(fds)
                case message, _:
                    raise AssertionError(f"not for a mold: {message}")

    def _say(self, message: Message) -> None:
        with suppress(ConnectionError):  # the master is gone, as the end of the channel will tell
            self._channel.send(message)

    def _fork(self, fds: list[int]) -> Forked | ForkFailed:
        if not fds:  # there was none left for it (recvmsg(2), MSG_CTRUNC)
            return ForkFailed("Too many open files")
        self._tell_of_threads()
        gc.freeze()
        theirs = Channel(socket.socket(fileno=fds[0]))
        try:
            return Forked(fork_apart(lambda: self._be_worker(theirs)))
        except OSError as error:
            return ForkFailed(error.strerror or str(error))
        finally:
            theirs.close()

    def _be_worker(self, channel: Channel) -> None:
        self._leave_behind()
        if self._collecting:
            gc.enable()
        received = next_message(channel)
        if channel.is_short:  # what is missing may be all that it would listen on
            raise OSError(EMFILE, os.strerror(EMFILE))
        match received:
            case TakeSeat(slot, number), [stacks, *listeners]:
                ours = self._seat
                sockets = tuple(socket.socket(fileno=fd) for fd in listeners)
                row = ours.scoreboard.row(number)
                self._work(Seat(slot, ours.generation, sockets, channel, row, ours.scoreboard, stacks))
            case None:
                pass  # it is no longer wanted
            case message, fds:
                raise AssertionError(f"not the first that a worker is told: {message} with {len(fds)} descriptors")

    def _leave_behind(self) -> None:
        if self._log.journal is not None:
            self._log.journal.close()
        self._channel.close()
        os.close(self._seat.stacks)

    def _tell_of_threads(self) -> None:
        """Warn of what the workers will miss, when it has changed: of a process's threads only one is forked."""
        threads = other_threads()
        if threads and threads != self._threads:
            self._log.warning("threads are not in the workers; start them in post_fork", names=",".join(threads))
        self._threads = threads


def next_message(channel: Channel) -> tuple[Message, list[int]] | None:
    """Wait for a message, and return it with its descriptors; None at the end of the channel."""
    waiting = poll()
    waiting.register(channel.fileno(), POLLIN)
    waiting.poll()
    return channel.receive()


def other_threads() -> list[str]:
    """Return the names of the threads besides this one: Python's own, and those that the kernel alone knows of."""
    known = {each.native_id: each.name for each in threading.enumerate() if each.native_id is not None}
    known[threading.get_native_id()] = ""
    tids: Iterable[int] = known
    with suppress(OSError):  # no /proc
        tids = map(int, os.listdir("/proc/self/task"))
    return sorted(filter(None, (known[tid] if tid in known else _native_name(tid) for tid in tids)))


def _native_name(tid: int) -> str:
    return read(f"/proc/self/task/{tid}/comm").strip()  # empty where it has ended


def fork_apart(work: Callable[[], None]) -> int:
    """Fork a process that does `work` and is no child of ours, but of the next subreaper above. Return its pid.

    Raises:
        OSError: the system refused.
    """
    shared = mmap(-1, PID.size)  # with who is forked
    PID.pack_into(shared, 0, -ECHILD)  # unless it says otherwise before it ends

    def fork_and_tell() -> None:
        try:
            pid = fork_child(work)
        except OSError as error:
            pid = -(error.errno or 0)
        PID.pack_into(shared, 0, pid)

    between = fork_child(fork_and_tell)
    with suppress(ChildProcessError):  # the application has them reaped
        os.waitpid(between, 0)
    (told,) = PID.unpack(shared)
    if told < 0:
        raise OSError(-told, os.strerror(-told))
    return int(told)
