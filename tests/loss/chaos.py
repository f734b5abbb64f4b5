"""Everything at once: workers are killed, stopped and sent TERM while the service is reloaded, resized and upgraded.

What is done when follows from the seed; what it meets with is up to the machine. Only what killed workers held may be
missing, each request that was answered is in the access log once, and in the end nothing is left over.
"""

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from signal import SIGCONT, SIGHUP, SIGSTOP, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR2
from typing import Final

from msgspec import Struct

from tests.bench.servers import Site
from tests.loss import leftovers, service
from tests.loss.load import Load, load
from tests.loss.report import LOG_LINES
from tests.loss.service import Service, serving
from tests.loss.tally import TROUBLES, Outcome, Tally
from tests.loss.trial import WORKERS, allow_descriptors, problems
from tests.process import proc

ACCESS_LOG: Final = "access.log"
FEWEST, MOST = 2, 7  # workers
LONGEST_GAP: Final = 0.6  # seconds between two steps
LONGEST_STOP: Final = 1.5  # seconds
SIGNALS: Final = {"reload": SIGHUP, "grow": SIGTTIN, "shrink": SIGTTOU, "upgrade": SIGUSR2}
WEIGHTS: Final = {"kill": 3, "stop": 4, "term": 3, "reload": 4, "grow": 3, "shrink": 3, "upgrade": 2}


class Step(Struct, frozen=True):
    """What is done `after` so many seconds; what isn't the master's concerns this worker, modulo their count."""

    after: float
    what: str
    worker: int
    seconds: float


class Chaos(Struct, frozen=True):
    """One run: the clients are as in a trial; without `kills` nothing at all may be missing."""

    seed: int
    seconds: float = 60.0
    accept: str = "reuseport"
    clients: int = 4
    idle: int = 20
    kills: bool = True


class Outcomes(Struct, frozen=True):
    """What came of it; `wrong` is what ought not to have happened."""

    chaos: Chaos
    steps: Counter[str]
    tally: Tally
    queued: int
    logged: int
    unsure: int
    log: str
    wrong: Sequence[str]


def plan(chaos: Chaos) -> list[Step]:
    """Return the steps that follow from the seed; as many workers are added as taken away, within bounds."""
    random = Random(chaos.seed)
    weights = {what: weight for what, weight in WEIGHTS.items() if chaos.kills or what != "kill"}
    steps: list[Step] = []
    workers, now = WORKERS, 0.0
    while now < chaos.seconds:
        after, seconds = random.random() * LONGEST_GAP, random.random() * LONGEST_STOP
        (what,) = random.choices(list(weights), list(weights.values()))
        if what in ("grow", "shrink"):
            what = "grow" if workers == FEWEST else "shrink" if workers == MOST else what
            workers += 1 if what == "grow" else -1
        steps.append(Step(after, what, random.randrange(1000), seconds))
        now += after
    return steps


def run(chaos: Chaos) -> Outcomes:
    """Let it happen; raises TimeoutError when the service doesn't calm down afterwards."""
    allow_descriptors()
    return asyncio.run(happen(chaos))


async def happen(chaos: Chaos) -> Outcomes:
    steps = plan(chaos)

    def command(site: Site) -> list[str]:
        return [*service.prefork(site), "--accept", chaos.accept, "--access-log", str(site.folder / ACCESS_LOG)]

    with serving(command, WORKERS, ["--graceful-timeout", "10"]) as served:
        await served.logged(" ready workers=", 0)
        before = leftovers.descriptors(served)
        async with load(served.addresses, chaos.clients, chaos.idle) as clients:
            await served.until(lambda: clients.complete, "an answer to each client")
            resuming = [await perform(step, served, clients) for step in steps]
            await asyncio.gather(*filter(None, resuming))
            await calm(served)
        wrong = await leftovers.of_load(served, before)
        wrong += await leftovers.of_service(served)
        log, logged = served.log, lines(served)
    wrong += problems(clients.tally, clients.queued, TROUBLES)
    if abs(logged - 1 - clients.tally[Outcome.OK]) > clients.unsure:
        wrong.append(f"{logged} requests in the access log")
    counts = Counter(step.what for step in steps)
    wrong += unasked(log, counts["kill"])
    return Outcomes(chaos, counts, clients.tally, clients.queued, logged - 1, clients.unsure, log, wrong)


async def perform(step: Step, served: Service, clients: Load) -> asyncio.Task[None] | None:
    """Do one thing, and wait for nothing; return what ends it, if it lasts."""
    await asyncio.sleep(step.after)
    if step.what in SIGNALS:
        served.signal(SIGNALS[step.what])
        return None
    await served.until(lambda: bool(workers(served)), "a worker")
    found = workers(served)
    victim = found[step.worker % len(found)]
    if step.what == "kill":
        clients.doom(served.kill(victim))
        return None
    try:
        pidfd = os.pidfd_open(victim)
    except ProcessLookupError:  # it was about to end
        return None
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, SIGTERM if step.what == "term" else SIGSTOP)
    if step.what == "term":
        os.close(pidfd)
        return None
    return asyncio.create_task(resume(pidfd, step.seconds))


async def resume(pidfd: int, seconds: float) -> None:
    """Have a stopped process go on after so many seconds, if it hasn't been killed."""
    await asyncio.sleep(seconds)
    try:
        signal.pidfd_send_signal(pidfd, SIGCONT)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def workers(served: Service) -> list[int]:
    """Return the workers' pids in the order of their slots; a child that isn't called so is none yet, or a trial."""
    named = {pid: proc.title(pid) for pid in served.workers}
    return sorted((pid for pid, name in named.items() if ": worker " in name), key=lambda pid: (named[pid], pid))


async def calm(served: Service) -> None:
    """Wait until a reload has made all workers new, and as many as are configured."""
    before = served.workers

    def is_calm() -> bool:
        return len(served.workers) == WORKERS and not served.workers & before

    while not is_calm():
        end = served.log_size
        served.signal(SIGHUP)
        await served.logged(" reloaded generation=", end)
        await served.until(lambda: len(served.workers) <= WORKERS, "the last to leave")
        await asyncio.sleep(LONGEST_GAP)  # an upgrade that was asked for before may come after


def lines(served: Service) -> int:
    """Return how many requests are in the access log."""
    return (served.folder / ACCESS_LOG).read_bytes().count(b"\n")


def unasked(log: str, kills: int) -> list[str]:
    """Return what the log says that wasn't asked for: workers that ended otherwise than they should, and mistakes."""
    ends = Counter(re.findall(r'worker exited .* reason="([^",]*)', log))
    # By SIGTERM one ends that is only starting.
    asked = {each: ends[each] for each in ("exit status 0", "killed by SIGTERM")}
    expected = Counter({**asked, "killed by SIGKILL": kills})
    wrong = [f"{count} workers: {reason}" for reason, count in (ends - expected).items()]
    words = ("Traceback", "killing worker", "connections cut", "connections lost", "access log lines lost", "hangs")
    return wrong + [line for line in log.splitlines() if any(each in line for each in words)]


def summary(outcomes: Outcomes) -> str:
    """Return what came of it in lines."""
    chaos, tally = outcomes.chaos, outcomes.tally
    done = ", ".join(f"{count} {what}" for what, count in sorted(outcomes.steps.items()))
    text = [f"chaos {chaos.accept} seed {chaos.seed}, {chaos.seconds:g} s: {done}"]
    text += [f"  {outcome.value:23}{tally[outcome]:8}" for outcome in Outcome]
    text += [f"  {'may be cut besides':23}{outcomes.queued:8}", f"  {'in the access log':23}{outcomes.logged:8}"]
    text += [f"  {'may differ by':23}{outcomes.unsure:8}"]
    if outcomes.wrong:
        text += ["The server's last words:", *(f"  {line}" for line in outcomes.log.splitlines()[-LOG_LINES:])]
        text += ["wrong:", *(f"  {each}" for each in outcomes.wrong), "The first of these:"]
        text += [f"  {note}" for note in tally.notes(TROUBLES)]
    return "\n".join(text)
