"""One trial: a server, its clients, and an action that repeats; what comes of it, and whether that is right."""

import asyncio
import random
import resource
import time
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from tests.loss.actions import Action
from tests.loss.load import load
from tests.loss.service import COMMANDS, serving
from tests.loss.tally import CUT, Outcome, Tally

WORKERS: Final = 4


class Trial(Struct, frozen=True):
    """What is tried: at most `count` times the action, up to `pause` seconds apart, for at most so many seconds.

    It has `clients` of each kind for each address, or `idle` of those that only stay connected.
    """

    server: str
    action: Action
    accept: str = ""
    clients: int = 4
    idle: int = 4
    count: int = 100
    pause: float = 0.05
    seconds: float = 600.0
    workers: int = WORKERS

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that the server is started with."""
        return (*(("--accept", self.accept) if self.accept else ()), *self.action.flags)


class Result(Struct, frozen=True):
    """What came of it. `queued` is how many connections were on their way to killed workers, `log` the server's log."""

    trial: Trial
    actions: int
    seconds: float
    tally: Tally
    queued: int
    log: str

    @property
    def problems(self) -> list[str]:
        """What ought not to have happened."""
        return problems(self.tally, self.queued, self.trial.action.never)


def problems(tally: Tally, queued: int, never: Iterable[Outcome]) -> list[str]:
    """Return what ought not to have happened, in words, where so many connections may have been cut besides."""
    excused = CUT if sum(tally[each] for each in CUT) <= queued else ()
    return [f"{tally[each]} {each.value}" for each in never if tally[each] and each not in excused]


def run(trial: Trial) -> Result:
    """Try it; an action that ends the server gets another server each time.

    Raises:
        Unsupported: the server doesn't know the action.
        TimeoutError: the action doesn't come to its end.
    """
    allow_descriptors()
    begin = time.monotonic()
    if not trial.action.is_last:
        return asyncio.run(attempt(trial, trial.count, begin))
    results = [asyncio.run(attempt(trial, 1, begin))]
    while len(results) < trial.count and time.monotonic() < begin + trial.seconds:
        results.append(asyncio.run(attempt(trial, 1, begin)))
    return total(results)


def allow_descriptors() -> None:
    """Raise the limit of open descriptors as far as is allowed, for many idle clients."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def total(results: list[Result]) -> Result:
    """Return several results as one."""
    tally = Tally()
    for each in results:
        tally += each.tally
    last = results[-1]
    return Result(last.trial, len(results), last.seconds, tally, sum(each.queued for each in results), last.log)


async def attempt(trial: Trial, count: int, begin: float) -> Result:
    """Perform the action so many times on one server; the time began at `begin`."""
    actions = 0
    with serving(COMMANDS[trial.server], trial.workers, trial.flags) as service:
        async with load(service.addresses, trial.clients, trial.idle) as clients:
            await service.until(lambda: clients.complete, "an answer to each client")
            # One at least, however long the start took.
            while not actions or (actions < count and time.monotonic() < begin + trial.seconds):
                await asyncio.sleep(random.random() * trial.pause)
                await trial.action.perform(service, clients)
                actions += 1
        log = service.log
    return Result(trial, actions, time.monotonic() - begin, clients.tally, clients.queued, log)
