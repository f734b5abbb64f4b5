"""Waits for descriptors, signals and deadlines, and calls what was registered for them. Decides nothing.

Who has deadlines says when the next one is and what follows from it; there is no object per timer.
"""

import select
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Final, Protocol

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
ENDED: Final = 0  # nothing but the end of both directions, which is always reported (epoll_ctl(2))


class Timed(Protocol):
    """Somebody with deadlines, in seconds of CLOCK_MONOTONIC."""

    def next_deadline(self) -> float | None:
        """Return the moment at which `expire` has something to do, if any."""

    def expire(self, now: float) -> None:
        """Do what is due."""


class Poller:
    """One epoll, the socketpair by which signals wake it, and those who have deadlines."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._timed: list[Timed] = []
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
        with suppress(BlockingIOError):
            self._signals.recv(4096)
        for number, count in list(self._caught.items()):
            self._caught[number] -= count
            if count:
                self.on_signal(number, count)

    def watch(self, fd: int, handler: Callable[[], None], events: int = READABLE) -> None:
        """Call `handler` at these events from now on, instead of what was said about the descriptor before."""
        if fd in self._handlers:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Stop watching, if at all, before the descriptor is closed."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def keep_time(self, timed: Timed) -> None:
        """Ask for the deadlines of this one too."""
        self._timed.append(timed)

    def turn(self) -> None:
        """Wait for news or the next deadline, and have done what follows."""
        deadlines = [deadline for each in self._timed if (deadline := each.next_deadline()) is not None]
        timeout = max(0.0, min(deadlines) - monotonic()) if deadlines else -1
        news = [(fd, self._handlers[fd]) for fd, _events in self._epoll.poll(timeout)]
        for fd, handler in news:
            # Else it was forgotten earlier in this turn, and its number may be that of something new by now.
            if self._handlers.get(fd) is handler:
                handler()
        for each in self._timed:
            each.expire(monotonic())

    def close(self) -> None:
        """Close its descriptors; no signal is to write into one that was one of them."""
        if self._caught:
            signal.set_wakeup_fd(-1)
        self._epoll.close()
        self._signals.close()
        self._wakeup.close()
