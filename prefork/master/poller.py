"""Waits for descriptors, signals and deadlines, and calls what was registered for them. Decides nothing.

Who has deadlines says when the next one is and what follows from it; there is no object per timer. What the system
refuses, to watch a descriptor or to whoever was called for it, is told, and that descriptor left alone for a moment: no
failure of one thing may end all others, and one that lasts would be met in each turn.
"""

import select
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import Final, Protocol

from msgspec import Struct

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
ENDED: Final = 0  # nothing but the end of both directions, which is always reported (epoll_ctl(2))
PAUSE: Final = 1.0  # seconds


class Timed(Protocol):
    """Somebody with deadlines, in seconds of CLOCK_MONOTONIC."""

    def next_deadline(self) -> float | None:
        """Return the moment at which `expire` has something to do, if any."""

    def expire(self, now: float) -> None:
        """Do what is due."""


class Watched(Struct, frozen=True):
    """Who is called for a descriptor, and at which events."""

    handler: Callable[[], None]
    events: int


class Poller:
    """One epoll, the socketpair by which signals wake it, and those who have deadlines.

    `on_failure` is told what the system refused, for which something has to wait.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._paused: dict[int, float] = {}  # until when
        self._timed: list[Timed] = [self]
        self.on_failure: Callable[[OSError], None] = lambda _error: None
        self._signals, self._wakeup = socket.socketpair()
        self._signals.settimeout(0)
        self._wakeup.settimeout(0)
        self._caught: dict[int, int] = {}
        self.on_signal: Callable[[int, int], None] = lambda _number, _count: None

    def catch(self, numbers: Sequence[int]) -> None:
        """Catch these signals from now on; they wait until `on_signal` is set. The first are told before the others.

        Python's own handler counts them. The descriptor only wakes: what is written to it may get lost when it is full.
        """
        self._caught = dict.fromkeys(numbers, 0)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, self._count)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # an upgrade has held them back
        self.watch(self._signals.fileno(), self._tell_signals)

    def block_signals(self) -> None:
        """Let those that come from now on wait for the next poller; where there is none, they change nothing any more.

        Python gives up its handlers before the process is gone.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, self._caught)
        for number, count in self._caught.items():  # what has come and not been told waits too
            if count:
                self._caught[number] = 0
                signal.raise_signal(number)

    @contextmanager
    def hold_signals(self) -> Iterator[None]:
        """Tell of all that have come, and keep those that come later pending: so they outlive an execve(2)."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._caught)
        try:
            self._tell_signals()
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _count(self, number: int, _frame: object) -> None:
        self._caught[number] += 1

    def _tell_signals(self) -> None:
        with suppress(OSError):  # nothing there; or no memory, then it wakes once more
            self._signals.recv(4096)
        for number in self._caught:
            if count := self._caught[number]:  # by now: who was told of another may have blocked all
                self._caught[number] -= count
                self._attempt(partial(self.on_signal, number, count))

    def watch(self, fd: int, handler: Callable[[], None], events: int = READABLE) -> None:
        """Call `handler` at these events from now on, instead of what was said about the descriptor before.

        Where the kernel refuses (ENOSPC, epoll_ctl(2)), that begins later.
        """
        known = fd in self._watched and self._paused.pop(fd, None) is None
        self._watched[fd] = Watched(handler, events)
        if known:
            self._epoll.modify(fd, events)
        else:
            self._register(fd)

    def forget(self, fd: int) -> None:
        """Stop watching, if at all, before the descriptor is closed."""
        if self._watched.pop(fd, None) and self._paused.pop(fd, None) is None:
            self._epoll.unregister(fd)

    def next_deadline(self) -> float | None:
        """Return when the first pause ends."""
        return min(self._paused.values(), default=None)

    def expire(self, now: float) -> None:
        """Watch again what has paused for long enough."""
        for fd in [fd for fd, until in self._paused.items() if until <= now]:
            del self._paused[fd]
            self._register(fd)

    def _register(self, fd: int) -> None:
        if not self._attempt(partial(self._epoll.register, fd, self._watched[fd].events)):
            self._pause(fd)

    def _call(self, fd: int, watched: Watched) -> None:
        if not self._attempt(watched.handler) and self._watched.get(fd) is watched:
            self._epoll.unregister(fd)
            self._pause(fd)

    def _pause(self, fd: int) -> None:
        self._paused[fd] = monotonic() + PAUSE

    def _attempt(self, call: Callable[[], None]) -> bool:
        """Do it, and return whether the system didn't refuse."""
        try:
            call()
        except OSError as error:
            self.on_failure(error)
            return False
        return True

    def keep_time(self, timed: Timed) -> None:
        """Ask for the deadlines of this one too."""
        self._timed.append(timed)

    def turn(self) -> None:
        """Wait for news or the next deadline, and have done what follows."""
        deadlines = [deadline for each in self._timed if (deadline := each.next_deadline()) is not None]
        timeout = max(0.0, min(deadlines) - monotonic()) if deadlines else -1
        news = [(fd, self._watched[fd]) for fd, _events in self._epoll.poll(timeout)]
        for fd, watched in news:
            # Else it was forgotten earlier in this turn, and its number may be that of something new by now.
            if self._watched.get(fd) is watched:
                self._call(fd, watched)
        for each in self._timed:
            each.expire(monotonic())

    def close(self) -> None:
        """Close its descriptors; no signal is to write into one that was one of them."""
        signal.set_wakeup_fd(-1)
        self._epoll.close()
        self._signals.close()
        self._wakeup.close()
