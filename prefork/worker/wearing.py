"""Decides when a worker has served for long enough: requests, time, memory, each with some jitter."""

import random

from msgspec import Struct

from prefork.kernel import read

MEMORY_INTERVAL = 5.0  # seconds between two looks at the memory: reading smaps_rollup takes a millisecond


class Wear(Struct, frozen=True):
    """What a worker may reach before it is replaced, 0 for no bound: a count, seconds, bytes; jitter in percent."""

    requests: int = 0
    lifetime: float = 0.0
    memory: int = 0
    jitter: int = 10

    def jittered(self) -> "Wear":
        """Return one worker's own bounds: later by up to `jitter` percent, so that not all are replaced at once."""
        factor = 1 + random.random() * self.jitter / 100  # noqa: S311 - nothing secret about it
        return Wear(int(self.requests * factor), self.lifetime * factor, int(self.memory * factor), 0)


class Wearing:
    """One worker's wear, from `now` on, in seconds of CLOCK_MONOTONIC."""

    def __init__(self, wear: Wear, now: float) -> None:
        self._wear = wear.jittered()
        self._began = now
        self._memory_due = now

    def reason(self, requests: int, now: float) -> str | None:
        """Return what has been reached, None while nothing has."""
        wear = self._wear
        if wear.requests and requests >= wear.requests:
            return f"max_requests: {requests}"
        if wear.lifetime and now - self._began >= wear.lifetime:
            return f"max_lifetime: {now - self._began:.0f} seconds"
        if wear.memory and now >= self._memory_due:
            self._memory_due = now + MEMORY_INTERVAL
            own = own_memory()
            return f"max_memory: {own} bytes of its own" if own >= wear.memory else None
        return None


def own_memory() -> int:
    """Return the bytes that this process shares with no other (proc(5), smaps_rollup), 0 where it can't be read."""
    lines = read("/proc/self/smaps_rollup").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
