"""The workers' processes by the keys of their places: forks them, talks to them, tells what they say and how they end.

Decides nothing. What happens to a worker is told to the functions that the owner sets. The molds are another crew, by
the numbers of their generations.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from time import monotonic, monotonic_ns
from typing import Final, TypeAlias

from msgspec import Struct

from prefork.ipc.channel import (
    MOST_DESCRIPTORS,
    Adopt,
    Channel,
    Failed,
    Listen,
    MalformedError,
    Message,
    Retire,
    Share,
    TakeSeat,
    close_all,
)
from prefork.ipc.handover import handover_pair
from prefork.ipc.scoreboard import CONNECTIONS, STARTED, Row, Scoreboard
from prefork.ipc.seat import Seat
from prefork.logs.log import Log
from prefork.master.oom import OomKills
from prefork.master.poller import WRITABLE, Poller
from prefork.master.processes import Process, fork
from prefork.master.stacks import Stacks, stacks_pipe
from prefork.wording import plural

MALFORMED: Final = "malformed message in its channel"
Descriptors: TypeAlias = Callable[[], Sequence[int]]  # those that go with a message, by the time that it is sent


class End(Struct, frozen=True):
    """How a worker ended; `failed` is what it said about why it can't be ready.

    `asked` has the `last_request` that it gave to the application, where it held a connection, and the
    `longest_request`, where one had kept a thread for long.
    """

    pid: int
    reason: str
    failed: Failed | None
    asked: Mapping[str, str]


class Crew:
    """All workers that live. `on_message` is told a key and a message, `on_exit` a key and how that worker ended.

    `on_malformed` is told the key of one that has sent what is no message; it isn't listened to any more.
    """

    def __init__(self, poller: Poller, scoreboard: Scoreboard, log: Log, oom_kills: OomKills | None = None) -> None:
        self.processes: dict[int, Process] = {}
        self.scoreboard = scoreboard
        self.on_message: Callable[[int, Message], None] = lambda _key, _message: None
        self.on_malformed: Callable[[int], None] = lambda _key: None
        self.on_exit: Callable[[int, End], None] = lambda _key, _end: None
        self._failed: dict[int, Failed] = {}
        self._untold: dict[int, list[tuple[Message, Descriptors]]] = {}
        self._poller = poller
        self._log = log
        self._oom_kills = oom_kills or OomKills()

    def another(self) -> "Crew":
        """Return a crew of others, with the same poller, scoreboard, log, and count of what the kernel has killed."""
        return Crew(self._poller, self.scoreboard, self._log, self._oom_kills)

    def fork(
        self,
        key: int,
        work: Callable[[Seat], None],
        kept: Iterable[int],
        *,
        slot: int,
        generation: int,
        listeners: tuple[socket.socket, ...] = (),
    ) -> int:
        """Fork a worker and return its pid. Besides its seat it has these descriptors, and no other of the master's.

        Raises:
            OSError: the system refused.
        """
        with self._equipment() as (row, reader, writer):

            def take_seat(channel: Channel) -> None:
                work(Seat(slot, generation, listeners, channel, row, self.scoreboard, writer))

            pid, pidfd, channel = fork(take_seat, {writer, *kept, *(each.fileno() for each in listeners)})
        self.attend(key, Process(pid, pidfd, channel, row, set(listeners), Stacks(reader)))
        return pid

    def adopt(self, key: int, pid: int, channel: Channel, slot: int, listeners: Sequence[socket.socket]) -> None:
        """Have among the workers a child that waits at its channel for its seat, and give it that.

        Raises:
            OSError: there were no descriptors for that; the channel is the caller's still.
        """
        first = listeners[: MOST_DESCRIPTORS - 1]
        with ExitStack() as undo:
            pidfd = os.pidfd_open(pid)
            undo.callback(os.close, pidfd)
            with self._equipment() as (row, reader, writer):
                channel.send(TakeSeat(slot, row.number), [writer, *(each.fileno() for each in first)])
            undo.pop_all()
        self.attend(key, Process(pid, pidfd, channel, row, set(first), Stacks(reader)))
        self.listen(key, listeners)

    @contextmanager
    def _equipment(self) -> Iterator[tuple[Row, int, int]]:
        """Yield a row and the ends of a pipe for stacks, of which the one to read from stays open, unless it fails."""
        with ExitStack() as undo:
            row = self.scoreboard.take()
            undo.callback(self.scoreboard.give_back, row)
            reader, writer = stacks_pipe()
            undo.callback(os.close, reader)
            row[STARTED] = monotonic_ns()
            try:
                yield row, reader, writer
            finally:
                os.close(writer)
            undo.pop_all()

    @property
    def pids(self) -> set[int]:
        """Those of its processes."""
        return {each.pid for each in self.processes.values()}

    def attend(self, key: int, process: Process) -> None:
        """Have this process among the workers from now on."""
        self.processes[key] = process
        self._poller.watch(process.pidfd, lambda: self._reap(key))
        self._heed(key)
        self._poller.watch(process.stacks.fd, lambda: self._read_stacks(process))

    def tell(self, key: int, message: Message, fds: Sequence[int] = ()) -> bool:
        """Send a message, and return whether it could be; a worker that is stuck is seen to when its deadline tells."""
        try:
            return self.send(key, message, fds)
        except OSError as error:
            pid, what = self.processes[key].pid, type(message).__name__
            self._log.error("not told", pid=pid, message=what, reason=error.strerror)
            return False

    def send(self, key: int, message: Message, fds: Sequence[int] = ()) -> bool:
        """Send a message, and return whether there is somebody left to read it, else its exit will tell.

        Raises:
            OSError: the system refused, or it has not read for long.
        """
        try:
            self.processes[key].channel.send(message, fds)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def kill(self, key: int) -> bool:
        """End a worker at once, if that is permitted."""
        process = self.processes[key]
        permitted = process.kill()
        if not permitted:
            self._log.error("no permission to kill", pid=process.pid, hint="with user, the master needs CAP_KILL")
        return permitted

    def listen(self, key: int, listeners: Iterable[socket.socket]) -> None:
        """Have a worker serve those of these listeners that it doesn't serve yet."""
        process = self.processes[key]
        more = [each for each in listeners if each not in process.listeners]
        process.listeners.update(more)
        for first in range(0, len(more), MOST_DESCRIPTORS):
            self._insist(key, Listen(), partial(open_ones, more[first : first + MOST_DESCRIPTORS]))

    def tell_all(self, message: Message, fds: Descriptors) -> None:
        """Send all of them a message; where the system refuses, later."""
        for key in self.processes:
            self._insist(key, message, fds)

    def hand_over(self, key: int, heirs: Sequence[int], message: Retire | Share) -> None:
        """Tell a worker to leave or to share, and bring it together with its heirs, as many as a message has room for.

        Raises:
            OSError: there were no descriptors for that; it has been told, and has fewer heirs, or none.
        """
        with ExitStack() as ends:
            ours: list[int] = []
            try:
                for heir in heirs[:MOST_DESCRIPTORS]:
                    one, other = (ends.enter_context(end) for end in handover_pair())
                    if self.tell(heir, Adopt(), [other.fileno()]):  # else what goes there would be lost
                        ours.append(one.fileno())
            finally:
                if isinstance(message, Retire):
                    self._untold.pop(key, None)  # who leaves is not to listen again
                if not self.tell(key, message, ours):
                    self._tell_later(key, message)  # without those ends, which may be what is refused

    def _heed(self, key: int) -> None:
        self._poller.watch(self.processes[key].channel.fileno(), lambda: self._receive(key))

    def _insist(self, key: int, message: Message, fds: Descriptors) -> None:
        """Send a message; where the system refuses, as soon as it lets us."""
        if not self.tell(key, message, fds()):
            self._tell_later(key, message, fds)

    def _tell_later(self, key: int, message: Message, fds: Descriptors = tuple) -> None:
        self._untold.setdefault(key, []).append((message, fds))
        self._poller.watch(self.processes[key].channel.fileno(), lambda: self._catch_up(key), WRITABLE)

    def _catch_up(self, key: int) -> None:
        untold = self._untold.get(key, [])
        while untold:
            message, fds = untold[0]
            self.send(key, message, fds())
            del untold[0]
        self._untold.pop(key, None)
        self._heed(key)

    def _receive(self, key: int) -> None:
        channel = self.processes[key].channel
        try:
            message = next_message(channel)
        except MalformedError:
            self._poller.forget(channel.fileno())
            self.on_malformed(key)
            return
        if message is None:
            self._poller.forget(channel.fileno())  # its exit will tell
        elif isinstance(message, Failed):
            self._failed[key] = message
        else:
            self.on_message(key, message)

    def _read_last_words(self, key: int, channel: Channel) -> None:
        """Take what it said before it ended and was not read yet, as far as that still matters."""
        with suppress(OSError, MalformedError):
            while message := next_message(channel):
                if isinstance(message, Failed):
                    self._failed[key] = message

    def _read_stacks(self, process: Process) -> None:
        lines = process.stacks.read()
        if lines is None:
            self._poller.forget(process.stacks.fd)
        for line in lines or ():
            self._log.error("stack", pid=process.pid, line=line)

    def _reap(self, key: int) -> None:
        process = self.processes[key]
        self._read_stacks(process)
        self._read_last_words(key, process.channel)
        reason, killed = process.reap()
        self._untold.pop(key, None)
        del self.processes[key]  # only now: whatever the system refuses till then is tried again
        held, asked = process.row[CONNECTIONS], asked_of(process.row)
        self.scoreboard.give_back(process.row)
        for fd in (process.pidfd, process.channel.fileno(), process.stacks.fd):
            self._poller.forget(fd)
        process.forget()
        reason += ", out of memory" if killed and self._oom_kills.new() else ""
        reason += f", with {held} {plural('connection', held)}" if held else ""
        self.on_exit(key, End(process.pid, reason, self._failed.pop(key, None), asked))

    def close(self) -> None:
        """Close what is the master's of them, at the end."""
        for process in self.processes.values():
            process.forget()


def asked_of(row: Row) -> dict[str, str]:
    """Return what a worker was at that has ended."""
    last = {"last_request": row.noted} if row[CONNECTIONS] and row.noted else {}
    return last | ({"longest_request": row.longest} if row.busy_for(monotonic()) else {})


def open_ones(listeners: Iterable[socket.socket]) -> list[int]:
    """Return the descriptors of those that are not closed."""
    return [fd for each in listeners if (fd := each.fileno()) >= 0]


def next_message(channel: Channel) -> Message | None:
    """Return what a worker says next, None at the end; it gives no descriptors. Raises what Channel.receive raises."""
    received = channel.receive()
    if received is None:
        return None
    message, fds = received
    close_all(fds)
    return message
