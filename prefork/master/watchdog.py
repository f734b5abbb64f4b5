"""Tells systemd that the service is alive, for as long as it is; else systemd ends it with SIGABRT and starts it again.

What the master can mend itself is no reason for that: workers that hang, die or can't get ready, all at once too, since
it kills, replaces and tries again, ever later, and so is there when what they need is back; a service that is started
again would fail at once. A master that hangs says nothing, and one whose workers neither serve nor die says nothing on
purpose.
"""

from collections.abc import Callable, Mapping
from typing import Final

from prefork.logs.log import Log
from prefork.master.fleet import Fleet, Phase
from prefork.systemd import Notifier

PINGS: Final = 2  # in each WatchdogSec=, as sd_watchdog_enabled(3) advises
LOOKS: Final = 10  # in each, while the service is not well
# Phases in which a worker serves, or one is on its way; one that hangs, by its heartbeats, is not READY any more.
HOPEFUL: Final = frozenset({Phase.EMPTY, Phase.STARTING, Phase.READY, Phase.BACKOFF})


class Watchdog:
    """The watchdog of a unit with WatchdogSec=; an `interval` of 0 seconds is none."""

    def __init__(self, interval: float, notifier: Notifier, fleet: Callable[[], Fleet], log: Log) -> None:
        self._interval = interval
        self._notifier = notifier
        self._fleet = fleet
        self._log = log
        self._due = 0.0
        self._well = True

    def next_deadline(self) -> float | None:
        """Return when systemd expects to hear of it."""
        return self._due if self._interval else None

    def expire(self, now: float) -> None:
        """Say that the service is alive, if it is."""
        if not self._interval or now < self._due:
            return
        well = serves(self._fleet())
        if well:
            self._notifier.alive()
        if well is not self._well:
            self._tell(well=well)
        self._well = well
        self._due = now + self._interval / (PINGS if well else LOOKS)

    def _tell(self, *, well: bool) -> None:
        if well:
            self._log.info("watchdog answered again")
        else:
            self._log.error(
                "watchdog not answered", reason="no worker serves or dies", restart_after=f"{self._interval:g}s"
            )


def serves(fleet: Fleet) -> bool:
    """Tell whether somebody serves, or will soon, or nobody is to."""
    if fleet.stopping or not fleet.announced or not fleet.wanted.workers:
        return True
    return any(each.phase in HOPEFUL for each in fleet.places.values())


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float:
    """Return WatchdogSec= in seconds, 0 where systemd doesn't watch this process (sd_watchdog_enabled(3))."""
    usec = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid) or not usec.isdecimal():
        return 0.0
    return int(usec) / 1e6
