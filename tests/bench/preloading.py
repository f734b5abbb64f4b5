"""Four workers with an application of 60 MB: how much of its memory they share, with and without preloading.

Memory is read when every worker has served, and again after a load that reads a tenth of the objects and a collection
of garbage in each worker, both of which write into the memory that was shared.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from tests.bench.errors import NoFigureError
from tests.bench.experiments import EVEN_LOAD, TEAM, WARM_UP_SECONDS, Memory, Plan, Reading, attempt, idle_place
from tests.bench.load import load
from tests.bench.measure import pss_bytes
from tests.bench.report import BROKEN, PSS_NOTE, medians, middle, notes, of, table
from tests.bench.running import running
from tests.bench.servers import Server, gunicorn, prefork_run

APP: Final = "objects:app"
COLLECT: Final = b"GET /collect HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
COLLECT_SECONDS: Final = 30


# fmt: off
WAYS: Final = (
    Server("prefork",                    prefork_run),
    Server("prefork --preload mold",     lambda site: [*prefork_run(site), "--preload", "mold"]),
    Server("gunicorn",                   gunicorn, "gunicorn"),
    Server("gunicorn --preload",         lambda site: [*gunicorn(site), "--preload"], "gunicorn"),
    Server("gunicorn --preload, gc.freeze in its pre_fork",
           lambda site: [*gunicorn(site), "--preload", "--config", "frozen.py"], "gunicorn"),
)
# fmt: on


def readings(plan: Plan) -> Iterator[Reading[Memory]]:
    """Measure the servers of the plan in each of their ways."""
    names = {server.name for server in plan.servers}
    for _ in range(plan.rounds):
        for way in WAYS:
            if way.name.partition(" ")[0] in names:
                yield Reading(idle_place(plan), way, attempt(partial(at_work, way, plan)))


def report(plan: Plan, read: Sequence[Reading[Memory]]) -> list[str]:
    """Return a row for each way."""
    place = idle_place(plan)

    def row(name: str) -> list[str]:
        figures = of(read, place, name)
        if not figures:
            return [name, *[BROKEN] * 3]
        sizes = [middle(figures, size, "{:.1f}") for size in (lambda it: it.started / 1e6, lambda it: it.worked / 1e6)]
        return [name, *sizes, middle(figures, lambda it: it.requests)]

    head = [f"PSS of all processes, {place.title}, MB", "started", "after requests and a collection", "requests"]
    rows = [row(name) for name in dict.fromkeys(each.server.name for each in read)]
    return [f"On CPUs {place.server_cpus}; {medians(plan)}.", PSS_NOTE, "", *table(head, rows), *notes(read)]


def at_work(server: Server, plan: Plan) -> Memory:
    """Read what a server needs before and after it has worked."""
    cpus = idle_place(plan).server_cpus
    with running(server, workers=TEAM, cpus=cpus, app=APP) as it:
        load(it.port, EVEN_LOAD, seconds=WARM_UP_SECONDS, cpus=cpus)
        started = pss_bytes(it.pid)
        count = load(it.port, EVEN_LOAD, seconds=plan.seconds, cpus=cpus)
        collect(it.port)
        return Memory(started, pss_bytes(it.pid), count.requests)


def collect(port: int) -> None:
    """Have every worker collect its garbage; raises NoFigureError when one isn't met for long."""
    deadline = time.monotonic() + COLLECT_SECONDS
    met: set[bytes] = set()
    while len(met) < TEAM:
        if time.monotonic() > deadline:
            raise NoFigureError(f"only {len(met)} of {TEAM} workers were met")
        with socket.create_connection(("127.0.0.1", port), timeout=COLLECT_SECONDS) as connection:
            connection.sendall(COLLECT)
            with connection.makefile("rb") as answer:
                met.add(answer.read().rpartition(b"\n")[2])
