"""Ends the connections of a worker that leaves for good.

Each ends with its next answer, which says so; one that waits for a request is closed. Where they are many, they are
closed over a moment: thousands of clients that come back at the same time are what the rest of a service can't stand.
"""

from collections.abc import Set as AbstractSet
from math import ceil
from typing import Final

from prefork.worker.connection import Connection
from prefork.worker.loop import Loop

SPREAD: Final = 1.0  # seconds over which idle connections are closed
INTERVAL: Final = 0.05  # seconds between two shares of them
LEAST_SHARE: Final = 100  # connections; so few are closed at once


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
