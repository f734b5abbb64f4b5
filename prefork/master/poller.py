"""Waits for descriptors and for signals, and calls what was registered for them. Decides nothing."""

import select
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress


class Poller:
    """One epoll, and the socketpair by which signals wake it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
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

    def ignore_signals(self) -> None:
        """Let none change how the process ends: Python gives up its handlers before it is gone."""
        for number in self._caught:
            signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def hold_signals(self) -> Iterator[None]:
        """Tell of all that have come, and keep those that come from now on pending, in which state they outlive an execve(2)."""
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

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        """Call `handler` whenever the descriptor is readable."""
        self._epoll.register(fd, select.EPOLLIN)
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Stop watching, if at all, before the descriptor is closed."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def wait(self, timeout: float) -> None:
        """Call the handlers of what is ready within `timeout` seconds, -1 for ever."""
        for fd, _events in self._epoll.poll(timeout):
            if handler := self._handlers.get(fd):  # else it was forgotten earlier in this turn
                handler()

    def close(self) -> None:
        """Close its descriptors."""
        self._epoll.close()
        self._signals.close()
        self._wakeup.close()
