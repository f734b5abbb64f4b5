"""The four experiments: which servers are started where, and what is read before and after a load.

Each yields its readings one by one, interleaved: a round goes once through everything that is compared, so that what
disturbs the machine for a while disturbs all alike. Every reading is of a server freshly started. How a report looks
is not known here.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final, Generic, TypeVar

from msgspec import Struct

from tests.bench.errors import NoFigureError
from tests.bench.load import CASES, Case, load
from tests.bench.measure import cpu_ns, pss_bytes, spent_ns
from tests.bench.running import check, running
from tests.bench.servers import Server

WARM_UP_SECONDS: Final = 1
SETTLE_SECONDS: Final = 1  # in which a start is over, before idleness is measured
TEAM: Final = 4  # workers
DOUBLE_TEAM: Final = 8
EVEN_LOAD: Final = next(case for case in CASES if case.key == "64")


class Plan(Struct, frozen=True):
    """What a run goes through; `seconds` is the length of one load or wait, `cpus` are all that may be used."""

    servers: Sequence[Server]
    cases: Sequence[Case]
    rounds: int
    seconds: int
    cpus: Sequence[int]
    server_cpu: int
    client_cpu: int
    yardstick: str = "nginx"  # the server that others are compared with


class Place(Struct, frozen=True):
    """A number of workers, and the CPUs of server and load generator, as lists that taskset takes."""

    workers: int
    server_cpus: str
    client_cpus: str

    @property
    def title(self) -> str:
        """The workers in words."""
        return "1 worker" if self.workers == 1 else f"{self.workers} workers"


class Loaded(Struct, frozen=True):
    """What one load showed: CPU time in µs a request, how many cores' time the server used, its memory afterwards."""

    cpu_us: float
    requests_per_second: float
    cores: float
    pss_bytes: int


class Started(Struct, frozen=True):
    """What one start showed; memory is read when every worker has served."""

    first_answer_seconds: float
    pss_bytes: int


class Idle(Struct, frozen=True):
    """How much of one core's time a server used while nobody asked it for anything."""

    cores: float


class Memory(Struct, frozen=True):
    """The PSS of all processes in bytes, when they had started and when they had worked, on so many requests."""

    started: int
    worked: int
    requests: int


class Broken(Struct, frozen=True):
    """Why there is no figure."""

    reason: str


F = TypeVar("F", Loaded, Started, Idle, Memory)


class Reading(Struct, Generic[F], frozen=True):
    """One outcome, and which cell of the table it belongs to."""

    row: Case | Place
    server: Server
    outcome: F | Broken


def compare(plan: Plan) -> Iterator[Reading[Loaded]]:
    """Load every server in every case, one worker on one core and wrk on another."""
    place = Place(1, str(plan.server_cpu), str(plan.client_cpu))
    for _ in range(plan.rounds):
        for case in plan.cases:
            for server in plan.servers:
                yield Reading(case, server, attempt(partial(under_load, server, place, case, plan.seconds)))


def startup(plan: Plan) -> Iterator[Reading[Started]]:
    """Start every server with few and with many workers, unpinned."""
    for _ in range(plan.rounds):
        for place in startup_places(plan):
            for server in plan.servers:
                yield Reading(place, server, attempt(partial(at_start, server, place)))


def idle(plan: Plan) -> Iterator[Reading[Idle]]:
    """Leave every server alone for a while, unpinned."""
    for _ in range(plan.rounds):
        for server in plan.servers:
            yield Reading(
                idle_place(plan), server, attempt(partial(left_alone, server, idle_place(plan), plan.seconds))
            )


def scaling(plan: Plan) -> Iterator[Reading[Loaded]]:
    """Load every server with one worker and with two."""
    for _ in range(plan.rounds):
        for place in scaling_places(plan):
            for server in plan.servers:
                yield Reading(place, server, attempt(partial(under_load, server, place, EVEN_LOAD, plan.seconds)))


def startup_places(plan: Plan) -> list[Place]:
    """Return a team and one twice as large, both with every CPU."""
    return [Place(workers, listed(plan.cpus), listed(plan.cpus)) for workers in (TEAM, DOUBLE_TEAM)]


def idle_place(plan: Plan) -> Place:
    """Return a team with every CPU."""
    return Place(TEAM, listed(plan.cpus), listed(plan.cpus))


def scaling_places(plan: Plan) -> list[Place]:
    """Return one worker on a core, and two on two; wrk has all other cores or, when there are none, shares those."""
    spare = [cpu for cpu in plan.cpus if cpu not in (plan.server_cpu, plan.client_cpu)]
    second, *rest = [*spare, plan.client_cpu]
    both = [plan.server_cpu, second]
    one_worker = Place(1, listed(both[:1]), listed(rest or [plan.client_cpu]))
    return [one_worker, Place(2, listed(both), listed(rest or both))]


def listed(cpus: Iterable[int]) -> str:
    """Return CPUs as taskset's list."""
    return ",".join(map(str, cpus))


def attempt(measure: Callable[[], F]) -> F | Broken:
    """Measure, or tell why there is no figure; a server that can't be reached any more has none."""
    try:
        return measure()
    except (NoFigureError, ConnectionError, TimeoutError) as error:
        return Broken(str(error))


def under_load(server: Server, place: Place, case: Case, seconds: int) -> Loaded:
    """Warm a fresh server up, load it, and read what that took."""
    with running(server, workers=place.workers, cpus=place.server_cpus, tls=case.tls, app=case.app) as it:
        check(it.port, case.batch, tls=case.tls)
        with ExitStack() as idle:
            for _ in range(case.idle):
                idle.enter_context(socket.create_connection(("127.0.0.1", it.port)))
            load(it.port, case, seconds=WARM_UP_SECONDS, cpus=place.client_cpus)
            before = cpu_ns(it.pid)
            count = load(it.port, case, seconds=seconds, cpus=place.client_cpus)
            used = spent_ns(before, cpu_ns(it.pid))
        cpu_us = used / 1e3 / count.requests
        rate = count.requests_per_second
        return Loaded(cpu_us, rate, cores=cpu_us * rate / 1e6, pss_bytes=pss_bytes(it.pid))


def at_start(server: Server, place: Place) -> Started:
    """Start a server, and give each of its workers something to do."""
    with running(server, workers=place.workers, cpus=place.server_cpus) as it:
        load(it.port, EVEN_LOAD, seconds=WARM_UP_SECONDS, cpus=place.client_cpus)
        return Started(it.first_answer_seconds, pss_bytes(it.pid))


def left_alone(server: Server, place: Place, seconds: int) -> Idle:
    """Read how much a server works without work."""
    with running(server, workers=place.workers, cpus=place.server_cpus) as it:
        time.sleep(SETTLE_SECONDS)
        before = cpu_ns(it.pid)
        time.sleep(seconds)
        return Idle(spent_ns(before, cpu_ns(it.pid)) / 1e9 / seconds)
