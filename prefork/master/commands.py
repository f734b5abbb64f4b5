"""Does what the commands ask for. What takes time is begun here, and answered when the fleet has got there."""

import os
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final

from prefork.config.schema import MOST_WORKERS
from prefork.ipc.control import (
    FAILED,
    Answer,
    Dump,
    Health,
    LastReload,
    Mold,
    Refused,
    Reload,
    Request,
    Service,
    Status,
    Stop,
    Upgrade,
    Worker,
    Workers,
)
from prefork.ipc.scoreboard import CONNECTIONS, OPENING, REQUESTS, STARTED
from prefork.master.fleet import Ending, Fleet, Phase, Place
from prefork.master.health import health
from prefork.master.master import Master
from prefork.master.molds import Molds
from prefork.master.outcomes import Waiting, failed, stopping, waiting
from prefork.master.processes import Process
from prefork.master.status_line import Past
from prefork.version import VERSION

LIVELY: Final = (Phase.READY, Phase.HUNG, Phase.RETIRING)  # in which a worker beats, or should
LONGEST_SILENCE: Final = 2.0  # seconds; a loop that has nothing to do turns once in one


class Commands:
    """The commands, by the methods of the master. It `started` at a moment of CLOCK_MONOTONIC, as whatever version.

    `reasons` are those for which workers refuse something, a status and a text each, by their numbers; `past` returns
    what is remembered of reloads and failures.
    """

    def __init__(
        self,
        name: str,
        master: Master,
        started: float,
        reasons: Sequence[tuple[int, str]],
        past: Callable[[], Past],
    ) -> None:
        self._name = name
        self._master = master
        self._started = started
        self._reasons = reasons
        self._past = past

    def expect(self, request: Request) -> Waiting:
        """Return what is to be waited for; before it is begun, since some things fail at once."""
        return waiting(request, self._master.fleet)

    def begin(self, request: Request) -> Answer | None:
        """Begin what is asked for. Return the answer if it is known now; else it is what `outcome` will say."""
        if isinstance(request, Reload | Upgrade | Workers) and self._master.fleet.stopping:
            return stopping(self._master.fleet)
        return BEGIN[type(request)](self, request)

    def reload(self, _request: Reload) -> None:
        """Begin a reload."""
        self._master.reload()

    def upgrade(self, request: Upgrade) -> Answer | None:
        """Begin an upgrade."""
        reason = self._master.upgrade()
        return failed(request, self._master.fleet.wanted.generation, reason) if reason else None

    def stop(self, request: Stop) -> None:
        """Begin to end."""
        self._master.stop(Ending.FAST if request.fast else Ending.GRACEFUL)

    def resize(self, request: Workers) -> Answer | None:
        """Begin to have more or fewer workers."""
        if not 1 <= request.count <= MOST_WORKERS:
            return Answer(f"there can be from 1 to {MOST_WORKERS} workers, not {request.count}", os.EX_USAGE)
        if reason := self._master.resize(request.count):
            return Answer(f"{request.count} workers can't be had: {reason}", FAILED)
        return None

    def dump(self, _request: Dump) -> Answer:
        """Have the stacks of the workers written into the log."""
        told = sum(each.dump() for each in self._master.crew.processes.values())
        return Answer(f"told workers to write their stacks into the log: {told}")

    def health(self, _request: Health) -> Answer:
        """Tell whether the service serves."""
        now = monotonic()
        ages = {key: now - each.row.beat for key, each in self._master.crew.processes.items()}
        return health(self._master.fleet, ages, self._master.hang_timeout)

    def status(self, _request: Status) -> Answer:
        """Tell how the service is."""
        fleet, past, now = self._master.fleet, self._past(), monotonic()
        service = Service(
            name=self._name,
            version=VERSION,
            pid=os.getpid(),
            uptime=round(now - self._started, 3),
            generation=fleet.wanted.generation,
            wanted=fleet.wanted.workers,
            state=state(fleet),
            last_reload=LastReload(fleet.wanted.generation, "under way") if fleet.fallback else past.last_reload,
            listeners=tuple(map(str, self._master.addresses)),
            workers=workers(fleet, self._master.crew.processes, now),
            refused=refused(self._reasons, self._master.crew.scoreboard.counts()),
            molds=molds(self._master.molds, now),
            at_restart=fleet.wanted.at_restart,
            failure=past.failure,
        )
        ready = sum(each.phase is Phase.READY for each in fleet.places.values())
        return Answer(f"{ready} of {fleet.wanted.workers} workers ready", service=service)


def state(fleet: Fleet) -> str:
    """Say in a word what the service is doing."""
    if fleet.stopping:
        return "stopping"
    if not fleet.announced:
        return "starting"
    return "reloading" if fleet.fallback else "serving"


def workers(fleet: Fleet, processes: Mapping[int, Process], now: float) -> tuple[Worker, ...]:
    """Return what is known of each place, by slots, in a slot the oldest first."""
    places = sorted(fleet.places.values(), key=lambda each: (each.slot, each.key))
    return tuple(_worker(place, processes.get(place.key), now) for place in places)


def refused(reasons: Sequence[tuple[int, str]], counts: Sequence[int]) -> tuple[Refused, ...]:
    """Return the reasons that there have been. A worker of a newer version may have counted others besides."""
    each = zip(reasons, counts, strict=False)
    return tuple(Refused(status, reason, count) for (status, reason), count in each if count)


def molds(living: Molds, now: float) -> tuple[Mold, ...]:
    """Return what is known of each mold."""
    return tuple(
        Mold(process.pid, generation, "ready" if living.is_ready(generation) else "loading", _age(process, now))
        for generation, process in living.processes.items()
    )


def _age(process: Process, now: float) -> float:
    return round(now - process.row[STARTED] / 1e9, 3)


def _worker(place: Place, process: Process | None, now: float) -> Worker:
    silent = _silence(place, process, now)
    busy = process.row.busy_for(now) if process else 0.0
    return Worker(
        slot=place.slot,
        pid=process.pid if process else None,
        generation=place.generation,
        phase=place.phase.value,
        age=_age(process, now) if process else None,
        connections=process.row[CONNECTIONS] if process else 0,
        requests=process.row[REQUESTS] if process else 0,
        failures=place.failures,
        deadline=None if place.deadline is None else round(place.deadline - now, 3),
        opening=process.row[OPENING] if process else 0,
        silent=silent,
        busy=round(busy, 3),
        request=_asked(process, silent, busy),
    )


def _silence(place: Place, process: Process | None, now: float) -> float:
    """Return for how long it has given no sign of life, where that is longer than usual."""
    if process is None or place.phase not in LIVELY:
        return 0.0
    age = now - process.row.beat
    return round(age, 3) if age > LONGEST_SILENCE else 0.0


def _asked(process: Process | None, silent: float, busy: float) -> str:
    """Return the request that a worker is at: what it was given last, or what has kept a thread of it for long."""
    if process is None:
        return ""
    if silent:
        return process.row.noted
    return process.row.longest if busy else ""


BEGIN: Final[Mapping[type[Request], Callable[[Commands, Any], Answer | None]]] = {  # Any: each takes its own request
    Reload: Commands.reload,
    Upgrade: Commands.upgrade,
    Stop: Commands.stop,
    Workers: Commands.resize,
    Status: Commands.status,
    Dump: Commands.dump,
    Health: Commands.health,
}
