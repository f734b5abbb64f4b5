"""One trial: a server, its clients, and an action that repeats; what comes of it, and whether that is right."""

import asyncio
import random
import resource
import time
from typing import Final

from msgspec import Struct

from tests.loss.actions import Action
from tests.loss.load import load
from tests.loss.service import COMMANDS, serving
from tests.loss.tally import Outcome, Tally

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
    """What came of it. `may_cost` is the most requests that the actions can have cost, `log` the server's last lines."""

    trial: Trial
    actions: int
    seconds: float
    tally: Tally
    may_cost: int
    log: str

    @property
    def problems(self) -> list[str]:
        """What ought not to have happened."""
        found = [f"{self.tally[each]} {each.value}" for each in self.trial.action.never if self.tally[each]]
        lost = self.tally[Outcome.LOST] + self.tally[Outcome.TRUNCATED]
        if self.may_cost < lost and Outcome.LOST not in self.trial.action.never:
            found.append(f"{lost} requests are missing, only {self.may_cost} were waiting when workers were killed")
        return found


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
    return Result(last.trial, len(results), last.seconds, tally, sum(each.may_cost for each in results), last.log)


async def attempt(trial: Trial, count: int, begin: float) -> Result:
    """Perform the action so many times on one server; the time began at `begin`."""
    may_cost = actions = 0
    with serving(COMMANDS[trial.server], trial.workers, trial.flags) as service:
        async with load(service.addresses, trial.clients, trial.idle) as clients:
            await service.until(lambda: clients.complete, "an answer to each client")
            while actions < count and time.monotonic() < begin + trial.seconds:
                await asyncio.sleep(random.random() * trial.pause)
                may_cost += await trial.action.perform(service, clients)
                actions += 1
        log = service.log
    return Result(trial, actions, time.monotonic() - begin, clients.tally, may_cost, log)
