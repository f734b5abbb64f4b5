"""The event loop: epoll, a list of what to call for each descriptor, and what to call later. No HTTP in it.

`now` is the time of this turn, in seconds of CLOCK_MONOTONIC: whoever needs the time asks the loop and not the clock.

What the kernel has no room to watch, by its memory or the user's share of fs.epoll.max_user_watches (epoll_ctl(2)), is
watched when it has: until then nothing is told of that descriptor, and nobody else notices.
"""

import select
from collections.abc import Callable
from errno import ENOMEM, ENOSPC
from heapq import heappop, heappush
from itertools import count
from time import monotonic
from typing import Final, TypeAlias

Handler: TypeAlias = "Callable[[int], None]"

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
MOST_EVENTS: Final = 1024  # a turn; so many that a thousand busy connections cost one system call
NO_ROOM: Final = frozenset({ENOMEM, ENOSPC})
ROOM_PAUSE: Final = 0.05  # seconds until the kernel is asked again to watch what it had no room for


class Loop:
    """Calls the handler of each descriptor that is ready, with the events that it is ready for.

    What is in `after_turn` is called when all of them have been.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: list[Handler | None] = []  # by descriptor, which are small numbers
        self._unwatched: dict[int, int] = {}  # for want of room: the events of each descriptor
        self._asks_again = False
        self._forgotten: set[int] = set()  # in this turn, whose further news of these numbers is of nobody any more
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._last: list[Callable[[], None]] = []
        self.now = monotonic()
        self.running = True
        self.after_turn: list[Callable[[], None]] = []

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        if not self._is_registered(fd, events):
            self._unwatched[fd] = events
            self._ask_later()
        self._handlers.extend([None] * (fd + 1 - len(self._handlers)))
        self._handlers[fd] = handler

    def change(self, fd: int, events: int, handler: Handler) -> None:
        """Have a watched descriptor wait for other events, and call another handler."""
        if fd in self._unwatched:
            self._unwatched[fd] = events
        else:
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
        if self._unwatched.pop(fd, None) is None:
            self._epoll.unregister(fd)

    @property
    def unwatched(self) -> int:
        """How many descriptors there is no room to watch."""
        return len(self._unwatched)

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
            wait = timers[0][0] - monotonic()  # `now` is long ago, where the application had the last turn
            ready = poll(wait if wait > 0 else 0, MOST_EVENTS)  # noqa: FURB136 - `max` costs twice what the clock does
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

    def _is_registered(self, fd: int, events: int) -> bool:
        """Have the kernel watch a descriptor; return False where it has no room for that."""
        try:
            self._epoll.register(fd, events)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return False
        return True

    def _ask_later(self) -> None:
        if not self._asks_again:
            self._asks_again = True
            self.call_at(self.now + ROOM_PAUSE, self._ask_again)

    def _ask_again(self) -> None:
        """Watch as many as there is room for by now, the first first."""
        self._asks_again = False
        for fd, events in list(self._unwatched.items()):
            if not self._is_registered(fd, events):
                self._ask_later()
                return
            del self._unwatched[fd]
