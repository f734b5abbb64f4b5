"""Says in a line how the service is, for a person who asks the service manager. No I/O, no clock.

It says what serves, how the last reload went, which keys wait for a restart, and which worker failed last; that one is
told until a reload succeeds.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from prefork.master.fleet import DumpStacks, Ending, Fleet, Phase, Reloaded, ReloadFailed, Respawn
from prefork.master.outcomes import News, UpgradeFailed
from prefork.wording import plural, waiting_for_restart


class Past(Struct, frozen=True):
    """What has happened, with its time of the day."""

    reload: str = ""
    failure: str = ""


def remembered(past: Past, fleet: Fleet, news: Sequence[News], time: str) -> Past:
    """Return what is remembered after the news."""
    for each in news:
        past = _remembered(past, fleet, each, time)
    return past


def _remembered(past: Past, fleet: Fleet, news: News, time: str) -> Past:
    match news:
        case Reloaded():
            return Past(f"last reload {time}")
        case ReloadFailed(_generation, _kept, reason):
            return replace(past, reload=f"last reload {time} failed: {reason}")
        case UpgradeFailed(_kept, reason):
            return replace(past, reload=f"last upgrade {time} failed: {reason}")
        case DumpStacks(key):
            return replace(past, failure=f"worker {fleet.places[key].slot} hangs since {time}")
        case Respawn(slot, reason):
            return replace(past, failure=f"worker {slot} failed {time}: {reason}")
        case _:
            return past


def standing(fleet: Fleet, connections: int, past: Past) -> str:
    """Return the line."""
    parts = _present(fleet, connections), past.reload, waiting_for_restart(fleet.wanted.at_restart), past.failure
    return "; ".join(filter(None, parts))


def _present(fleet: Fleet, connections: int) -> str:
    wanted = fleet.wanted.workers
    ready = sum(each.phase is Phase.READY for each in fleet.places.values())
    if fleet.ending is Ending.CRASH_LOOP:
        return f"gave up: {fleet.failures} workers in a row failed: {fleet.reason}"
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


def counted(count: int, what: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {plural(what, count)}"
