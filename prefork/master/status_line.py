"""systemd's line about the service, for a person who asks for its status, and when that line is told anew.

It says what serves, how the last reload went, which keys wait for a restart, and which worker failed last; that one is
told until a reload succeeds. It is told at once when something came of a command, else now and then: a manager that
reads too many notifications has no time for others (sd_notify(3) has no bound of its own), so what changes all the
time, the number of connections, is looked at every few seconds and told only where the line is another.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from prefork.ipc.control import LastReload
from prefork.ipc.scoreboard import CONNECTIONS
from prefork.master.fleet import DumpStacks, Ending, Finish, Fleet, Phase, Reloaded, ReloadFailed, Respawn, ServiceReady
from prefork.master.outcomes import News, UpgradeFailed, start_error
from prefork.master.processes import Process
from prefork.systemd import Notifier
from prefork.wording import counted, waiting_for_restart

PAUSE: Final = 2.0  # seconds between lines
LOOK: Final = 5.0  # seconds between looks at what nobody tells of
PATIENCE: Final = 3 * LOOK  # seconds for which one look asks systemd to wait
OUTCOMES: Final = (ServiceReady, Reloaded, ReloadFailed, UpgradeFailed, Finish)


class Past(Struct, frozen=True):
    """What has happened, with its time of the day."""

    reload: str = ""
    failure: str = ""
    last_reload: LastReload | None = None


class StatusLine:
    """The line that was told last, and when the next may be; an observer of the master, that has deadlines.

    `past` is what it remembers, for whoever else tells of it.
    """

    def __init__(
        self, notifier: Notifier, fleet: Callable[[], Fleet], processes: Callable[[], Mapping[int, Process]]
    ) -> None:
        self._notifier = notifier
        self._fleet = fleet
        self._processes = processes
        self.past = Past()
        self._told = ""
        self._may_tell_at = 0.0
        self._due = 0.0

    def observe(self, fleet: Fleet, news: Sequence[News]) -> None:
        """Remember the news, and tell of them at once where somebody waits."""
        if news:
            self.past = remembered(self.past, fleet, news, time.strftime("%H:%M:%S"))
            self._due = self._may_tell_at
        if any(isinstance(each, OUTCOMES) for each in news):
            self._tell(time.monotonic())
            self._due = self._may_tell_at  # soon again: new workers have not counted their connections yet

    def next_deadline(self) -> float | None:
        """Return when to look again."""
        return self._due if self._notifier.is_heard else None

    def expire(self, now: float) -> None:
        """Look, and tell of it where the line has changed."""
        if now < self._due:
            return
        self._tell(now)
        fleet = self._fleet()
        if not fleet.stopping and (not fleet.announced or fleet.fallback):
            self._notifier.extend_timeout(PATIENCE)  # boot_timeout and max_spawn_failures bound it

    def _tell(self, now: float) -> None:
        connections = sum(process.row[CONNECTIONS] for process in self._processes().values())
        line = status_line(self._fleet(), connections, self.past)
        if line != self._told:
            self._notifier.status(line)
            self._told = line
            self._may_tell_at = now + PAUSE
        self._due = now + LOOK


def remembered(past: Past, fleet: Fleet, news: Sequence[News], time: str) -> Past:
    """Return what is remembered after the news."""
    for each in news:
        past = _remembered(past, fleet, each, time)
    return past


def _remembered(past: Past, fleet: Fleet, news: News, time: str) -> Past:
    match news:
        case Reloaded(generation):
            return Past(f"last reload {time}", last_reload=LastReload(generation, "succeeded"))
        case ReloadFailed(generation, _kept, reason):
            last_reload = LastReload(generation, "failed", reason)
            return replace(past, reload=f"last reload {time} failed: {reason}", last_reload=last_reload)
        case UpgradeFailed(_kept, reason):
            return replace(past, reload=f"last upgrade {time} failed: {reason}")
        case DumpStacks(key):
            return replace(past, failure=f"worker {fleet.places[key].slot} hangs since {time}")
        case Respawn(slot, reason):
            return replace(past, failure=f"worker {slot} failed {time}: {reason}")
        case _:
            return past


def status_line(fleet: Fleet, connections: int, past: Past) -> str:
    """Return the line."""
    parts = _present(fleet, connections), past.reload, waiting_for_restart(fleet.wanted.at_restart), past.failure
    return "; ".join(filter(None, parts))


def _present(fleet: Fleet, connections: int) -> str:
    wanted = fleet.wanted.workers
    ready = sum(each.phase is Phase.READY for each in fleet.places.values())
    if fleet.ending is Ending.CRASH_LOOP:
        return str(start_error(fleet))
    if fleet.ending is not None and not fleet.places:
        return "stopped"
    if fleet.ending is not None:
        return f"stopping: {counted(len(fleet.places), 'worker')} left, {counted(connections, 'connection')}"
    if not fleet.announced:
        return f"starting: {ready} of {counted(wanted, 'worker')} ready"
    whole = ready >= wanted
    words = "stopping after shutdown_delay: " if fleet.stopping else ""
    words += counted(wanted, "worker") if whole else f"{ready} of {counted(wanted, 'worker')}"
    words += f", generation {fleet.wanted.generation}, {counted(connections, 'connection')}"
    return words + (f", replacing generation {fleet.fallback.generation}" if fleet.fallback else "")
