"""Keeps the workers even that accept from the same socket.

The kernel wakes the first in the line of those that wait for the socket, and always the same one as long as that has
nothing else to do: 702 of 800 connections went to one of four workers. So one that is ahead of the others steps aside
for a moment, and comes back as the last in the line. It needs no answer from them: should all of those that have fewer
be stuck, it is back before long.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from prefork.ipc.scoreboard import Scoreboard
from prefork.worker.connection import Connection
from prefork.worker.loop import Loop

MARGIN: Final = 1.0  # connections
SLACK: Final = 1 / 32  # of the mean: with many connections some come and go all the time
PAUSE: Final = 0.001  # seconds for each connection ahead
LONGEST_PAUSE: Final = 0.1  # seconds; so long may a connection wait when the workers that are behind are stuck
FRESH_NS: Final = 4 * 10**9  # whoever has not beaten for so long doesn't count: it is stuck, or as good as


def pause(scoreboard: Scoreboard, loop: Loop, connections: AbstractSet[Connection]) -> float:
    """Return for how many seconds a worker with these connections leaves what comes to the others."""
    own = len(connections)
    if own <= MARGIN:
        return 0.0
    return pause_of(own, scoreboard.connections(int(loop.now * 1e9) - FRESH_NS))


def pause_of(own: int, counts: Sequence[int]) -> float:
    """Return for how many seconds a worker with `own` connections pauses; `counts` are those of all that accept."""
    mean = sum(counts) / max(1, len(counts))
    ahead = own - mean
    return min(ahead * PAUSE, LONGEST_PAUSE) if counts and ahead > MARGIN + mean * SLACK else 0.0


def never() -> float:
    """Leave nothing to others: there are none."""
    return 0.0
