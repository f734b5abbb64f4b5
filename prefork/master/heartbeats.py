"""Notices workers whose loop no longer turns.

A worker writes the time into its row of the scoreboard every tick. A late one hangs, unless it was stopped (by a
debugger, by SIGSTOP) or the master was: what was not running could not beat, so both are excused until they have had
their time again.
"""

from collections.abc import Callable, Iterable, Mapping

from prefork.kernel import read
from prefork.master.processes import Process

CHECKS = 4  # in each hang_timeout


class Heartbeats:
    """Whom to watch, and until when each is excused; times in seconds of CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._excused: dict[int, float] = {}
        self._checked_at = 0.0

    def next_check(self, hang_timeout: float) -> float | None:
        """Return when to check again; None for never."""
        return self._checked_at + hang_timeout / CHECKS if hang_timeout else None

    def late(self, ready: Callable[[], Mapping[int, Process]], hang_timeout: float, now: float) -> list[int]:
        """Return the keys of those that hang, if it is time to look."""
        check = self.next_check(hang_timeout)
        if check is None or now < check:
            return []
        processes = ready()
        if now - self._checked_at > hang_timeout / 2:  # we were not running ourselves
            self._excuse(processes, now)
        self._checked_at = now
        # At each check, not only when it is late: it may go on a moment before the next.
        quiet = [key for key, process in processes.items() if self._age(key, process, now) > hang_timeout / 2]
        self._excuse((key for key in quiet if is_stopped(processes[key].pid)), now)
        self._excused = {key: until for key, until in self._excused.items() if key in processes}
        return [key for key in quiet if self._age(key, processes[key], now) > hang_timeout]

    def _excuse(self, keys: Iterable[int], now: float) -> None:
        self._excused.update(dict.fromkeys(keys, now))

    def _age(self, key: int, process: Process, now: float) -> float:
        return now - max(process.row.beat, self._excused.get(key, 0.0))


def is_stopped(pid: int) -> bool:
    """Tell whether a signal or a debugger has stopped the process (proc(5), the state in /proc/PID/stat)."""
    return read(f"/proc/{pid}/stat").rpartition(") ")[2].startswith(("t", "T"))
