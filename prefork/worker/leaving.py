"""How a worker leaves: its connections move to heirs, or end, and it ends with the last, or when its time is over.

Without heirs each connection ends with its next answer, which says so; for good, one that waits for a request is
closed. Where they are many, they are closed over a moment: thousands of clients that come back at the same time are
what the rest of a service can't stand.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from math import ceil
from typing import Final

from prefork.apps.pool import Pool
from prefork.http.answers import nothing
from prefork.ipc.handover import Handover
from prefork.logs.log import Log
from prefork.worker.admitting import Admission
from prefork.worker.connection import Connection
from prefork.worker.loop import Loop
from prefork.worker.moving import Arrivals, Departures

SPREAD: Final = 1.0  # seconds over which idle connections are closed
INTERVAL: Final = 0.05  # seconds between two shares of them
LEAST_SHARE: Final = 100  # connections; so few are closed at once
LONGEST_CLOSING: Final = 0.5  # seconds in which threads close what was cut; the master kills two after graceful_timeout


class Leaving:
    """Ends the loop of a worker that was told to leave. `ends_at` is when it does at the latest, None until it is told.

    In `arrivals` is what others hand over to this worker, which may leave itself meanwhile. `on_left` is called once,
    when the connections that can move have been sent off.
    """

    def __init__(self, admission: Admission, loop: Loop, log: Log, threads: Pool | None) -> None:
        self.ends_at: float | None = None
        self.on_left: Callable[[], object] = nothing
        self.arrivals: set[Arrivals] = set()
        self._admission = admission
        self._loop = loop
        self._log = log
        self._threads = threads
        self._departures: Departures | None = None

    def hand_over_to(self, heirs: list[Handover]) -> None:
        """Move the connections to these, and no more to others: those have died, or nobody stays."""
        if self._departures is not None:
            self._departures.close()
        self._departures = Departures(heirs, self._loop, self._log) if heirs else None

    @property
    def heirs(self) -> Sequence[Handover]:
        """Those to whom connections are handed over now."""
        return self._departures.heirs if self._departures is not None else ()

    def begin(self, timeout: float, *, for_good: bool) -> None:
        """End within so many seconds; told more than once, at the soonest."""
        deadline = self._loop.now + timeout
        if self.ends_at is None:
            self._loop.after_turn.append(self._end_when_done)
        self.ends_at = min(deadline, self.ends_at or deadline)
        if for_good:
            self.hand_over_to([])
        self._admission.drain((b"http", b"https") if self._departures is None else (b"https",))  # which can't move
        if for_good:
            Draining(self._admission.connections, self._loop, timeout)

    def _end_when_done(self) -> None:
        assert self.ends_at is not None
        if self._departures is None or self._departures.move(self._admission.connections):
            on_left, self.on_left = self.on_left, nothing
            on_left()
        if self._loop.now >= self.ends_at:
            self._cut()
        is_busy = self._threads is not None and self._threads.is_busy and self._loop.now < self.ends_at
        # A predecessor may still be handing over to one that leaves itself: what has not come yet would be lost.
        if self._admission.is_empty and not self.arrivals and not is_busy:
            self.hand_over_to([])
            self._loop.running = False

    def _cut(self) -> None:
        """Close what has not ended in time, and leave threads a moment to close what they gave for it."""
        for each in list(self.arrivals):
            each.close()
        if count := self._admission.cut():
            self._log.warning("connections cut", count=count, reason="graceful_timeout passed")
            self.ends_at = self._loop.now + LONGEST_CLOSING
            self._loop.call_at(self.ends_at, self._end_when_done)


class Draining:
    """Closes the idle ones of these drained connections, and those that join them, in half of so many seconds.

    The other half is left to lingering.
    """

    def __init__(self, connections: AbstractSet[Connection], loop: Loop, within: float) -> None:
        self._connections = connections
        self._loop = loop
        self._share = share_of(len(connections), within)
        self._close_some()

    def _close_some(self) -> None:
        idle = [each for each in self._connections if each.is_idle]
        for connection in idle[: self._share]:
            connection.close_idle()
        self._loop.call_at(self._loop.now + INTERVAL, self._close_some)


def share_of(count: int, within: float) -> int:
    """Return how many of so many connections are closed at a time."""
    return max(LEAST_SHARE, ceil(count * INTERVAL / min(SPREAD, within / 2)))
