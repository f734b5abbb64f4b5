"""Spreads the connections over the workers anew, after one has joined.

Who joins has none, and long-lived connections would leave it without work for as long as they live. Where the counts
differ by much, each worker that has more than its share is told to move the rest to those that have less.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from prefork.ipc.channel import Share
from prefork.ipc.scoreboard import CONNECTIONS
from prefork.logs.log import Log
from prefork.master.crew import Crew
from prefork.master.processes import Process

SETTLING_TIME: Final = 1.5  # seconds after the last has joined: by then each worker has told how many it has
TOLERANCE: Final = 1.1  # times the mean


class Move(Struct, frozen=True):
    """So many connections are to go from one worker to another, by their keys."""

    donor: int
    heir: int
    count: int


class Balance:
    """When to look next, in seconds of CLOCK_MONOTONIC, None for not before a worker joins."""

    def __init__(self, crew: Crew, log: Log) -> None:
        self.due: float | None = None
        self._crew = crew
        self._log = log

    def joined(self, now: float) -> None:
        """Look in a moment, counted from the latest that joined."""
        self.due = now + SETTLING_TIME

    def restore(self, processes: Mapping[int, Process]) -> None:
        """Have the workers make their counts even."""
        self.due = None
        try:
            for move in moves({key: process.row[CONNECTIONS] for key, process in processes.items()}):
                self._crew.hand_over(move.donor, [move.heir], Share(move.count))
        except OSError as error:  # EMFILE: they stay where they are
            self._log.error("connections not shared", reason=error.strerror)


def moves(counts: Mapping[int, int]) -> list[Move]:
    """Return what makes the counts even, none if they nearly are; nobody gives and takes, no connection moves twice."""
    if not counts or max(counts.values()) * len(counts) <= TOLERANCE * sum(counts.values()):
        return []
    return list(_match(_excess(counts)))


def _excess(counts: Mapping[int, int]) -> dict[int, int]:
    """Return by how much each is above its share, most first; where they can't be equal, who has more keeps more."""
    share, rest = divmod(sum(counts.values()), len(counts))
    descending = sorted(counts, key=counts.__getitem__, reverse=True)
    return {key: counts[key] - share - (place < rest) for place, key in enumerate(descending)}


def _match(excess: dict[int, int]) -> Iterator[Move]:
    heirs = [key for key, count in excess.items() if count < 0]
    for donor in [key for key, count in excess.items() if count > 0]:
        while excess[donor]:
            heir = heirs[-1]
            count = min(excess[donor], -excess[heir])
            yield Move(donor, heir, count)
            excess[donor] -= count
            excess[heir] += count
            if not excess[heir]:
                heirs.pop()
