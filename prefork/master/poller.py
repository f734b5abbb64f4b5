"""Waits for descriptors and for signals, and calls what was registered for them. Decides nothing."""

import select
import signal
import socket
from collections.abc import Callable, Iterable


class Poller:
    """One epoll, and the socketpair by which signals wake it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._signals, self._wakeup = socket.socketpair()
        self._signals.settimeout(0)
        self._wakeup.settimeout(0)

    def catch(self, numbers: Iterable[int], handler: Callable[[int], None]) -> None:
        """Call `handler` with each of these signals that comes. What Python itself calls for them does nothing."""
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda _number, _frame: None)

        def on_signals() -> None:
            for number in self._signals.recv(4096):
                handler(number)

        self.watch(self._signals.fileno(), on_signals)

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
