"""Keeps systemd's line about the service up to date: at once when something came of a command, else now and then.

A manager that reads too many notifications has no time for others (sd_notify(3) has no bound of its own), so what
changes all the time, the number of connections, is looked at every few seconds and told only where the line is another.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prefork.ipc.scoreboard import CONNECTIONS
from prefork.master.fleet import Finish, Fleet, Reloaded, ReloadFailed, ServiceReady
from prefork.master.outcomes import News, UpgradeFailed
from prefork.master.processes import Process
from prefork.master.standing import Past, remembered, standing
from prefork.systemd import Notifier

PAUSE: Final = 2.0  # seconds between lines
LOOK: Final = 5.0  # seconds between looks at what nobody tells of
PATIENCE: Final = 3 * LOOK  # seconds for which one look asks systemd to wait
OUTCOMES: Final = (ServiceReady, Reloaded, ReloadFailed, UpgradeFailed, Finish)


class Telling:
    """The line that was told last, and when the next may be; an observer of the master, that has deadlines."""

    def __init__(
        self, notifier: Notifier, fleet: Callable[[], Fleet], processes: Callable[[], Mapping[int, Process]]
    ) -> None:
        self._notifier = notifier
        self._fleet = fleet
        self._processes = processes
        self._past = Past()
        self._told = ""
        self._may_tell_at = 0.0
        self._due = 0.0

    def observe(self, fleet: Fleet, news: Sequence[News]) -> None:
        """Remember the news, and tell of them at once where somebody waits."""
        if news:
            self._past = remembered(self._past, fleet, news, time.strftime("%H:%M:%S"))
            self._due = self._may_tell_at
        if any(isinstance(each, OUTCOMES) for each in news):
            self._tell(time.monotonic())
            self._due = self._may_tell_at  # soon again: new workers have not counted their connections yet

    def next_deadline(self) -> float | None:
        """Return when to look again."""
        return self._due if self._notifier.is_heard else None

    def expire(self, now: float) -> None:
        """Look, and tell of it where the line has changed."""
        if not self._notifier.is_heard or now < self._due:
            return
        self._tell(now)
        fleet = self._fleet()
        if not fleet.stopping and (not fleet.announced or fleet.fallback):
            self._notifier.extend_timeout(PATIENCE)  # boot_timeout and max_spawn_failures bound it

    def _tell(self, now: float) -> None:
        connections = sum(process.row[CONNECTIONS] for process in self._processes().values())
        line = standing(self._fleet(), connections, self._past)
        if line != self._told:
            self._notifier.status(line)
            self._told = line
            self._may_tell_at = now + PAUSE
        self._due = now + LOOK
