"""The event loop: epoll, a list of what to call for each descriptor, and what to call later. No HTTP in it.

`now` is the time of this turn, in seconds of CLOCK_MONOTONIC: whoever needs the time asks the loop and not the clock.
"""

import select
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import monotonic
from typing import Final, TypeAlias

Handler: TypeAlias = "Callable[[int], None]"

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
MOST_EVENTS: Final = 1024  # a turn; so many that a thousand busy connections cost one system call


class Loop:
    """Calls the handler of each descriptor that is ready, with the events that it is ready for.

    What is in `after_turn` is called when all of them have been.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: list[Handler | None] = []  # by descriptor, which are small numbers
        self._forgotten: set[int] = set()  # in this turn, whose further news of these numbers is of nobody any more
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._last: list[Callable[[], None]] = []
        self.now = monotonic()
        self.running = True
        self.after_turn: list[Callable[[], None]] = []

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        self._epoll.register(fd, events)
        if fd >= len(self._handlers):
            self._handlers.extend([None] * (fd + 1 - len(self._handlers)))
        self._handlers[fd] = handler

    def change(self, fd: int, events: int, handler: Handler) -> None:
        """Have a watched descriptor wait for other events, and call another handler."""
        self._epoll.modify(fd, events)
        self._handlers[fd] = handler

    def hand_to(self, fd: int, handler: Handler) -> None:
        """Have a watched descriptor call another handler for the same events."""
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Stop watching, before the descriptor is closed: a copy of it would keep it in the epoll set (epoll(7)).

        The application makes copies of all of them whenever it forks, be it to run a program.
        """
        self._handlers[fd] = None
        self._forgotten.add(fd)
        self._epoll.unregister(fd)

    def descriptors(self) -> list[int]:
        """Return the loop's own, and those that it watches."""
        return [self._epoll.fileno(), *(fd for fd, handler in enumerate(self._handlers) if handler is not None)]

    def call_at(self, moment: float, call: Callable[[], None]) -> None:
        """Call once, in the first turn at or after that moment and before the handlers of that turn."""
        heappush(self._timers, (moment, next(self._order), call))

    def call_last(self, call: Callable[[], None]) -> None:
        """Call once, when the handlers of this turn have been: what they were to read has been read."""
        self._last.append(call)

    def run(self) -> None:
        """Serve until `running` is False; something is to be called later, always."""
        poll, handlers, timers = self._epoll.poll, self._handlers, self._timers
        last, after_turn, forgotten = self._last, self.after_turn, self._forgotten
        while self.running:
            forgotten.clear()
            ready = poll(max(0, timers[0][0] - self.now), MOST_EVENTS)
            now = self.now = monotonic()
            while timers[0][0] <= now:
                heappop(timers)[2]()
            for fd, events in ready:
                handler = handlers[fd]
                # Else another handler of this turn has closed it, and its number may be that of something new by now.
                if handler is not None and fd not in forgotten:
                    handler(events)
            while last:
                last.pop()()
            for call in after_turn:
                call()

    def close(self) -> None:
        self._epoll.close()
