"""Counts what clients lose while a server is reloaded, resized, upgraded, killed or stopped: `python -m tests.loss`.

From the root of the repository. Results go to standard output, progress of a table to standard error. Exit status 1:
prefork lost something; 69: something has to be installed first, or the server can't do what is asked.
"""

import argparse
import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from tests.bench import peers, servers, tools
from tests.bench.errors import MissingError, NoFigureError
from tests.loss import chaos, report, trial
from tests.loss.actions import ACTIONS, OF_PEERS, Action
from tests.loss.chaos import Chaos
from tests.loss.service import COMMANDS, Unsupported
from tests.loss.trial import Result, Trial

ACCEPTS: Final = ("reuseport", "shared")
COUNT: Final = 100
RARE: Final = (
    "kill",
    "stop",
)  # a slot whose worker is killed again and again is filled ever later; a stop takes a start
FEWER: Final = 10  # times less often
SECONDS: Final = 600.0
CHAOS_SECONDS: Final = 60.0
INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell says it


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    arguments = parse_arguments()
    # So that the server is ended on SIGTERM as it is on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if arguments.chaos:
        return happen(arguments)
    trials = list(every(arguments) if arguments.table else [one(arguments)])
    try:
        equip({each.server for each in trials})
        results = [result for each in trials if (result := attempt(each, told=arguments.table))]
    except (MissingError, NoFigureError, TimeoutError) as error:
        sys.stderr.write(f"tests.loss: error: {error}\n")
        return os.EX_UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    if not results:
        return os.EX_UNAVAILABLE
    sys.stdout.write((report.table(results) if arguments.table else report.summary(results[0])) + "\n")
    return int(any(each.problems for each in results if each.trial.server == "prefork"))


def parse_arguments() -> argparse.Namespace:
    """Return the command line's wishes."""
    parser = argparse.ArgumentParser(prog="python -m tests.loss", description="Count what clients lose.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--action", choices=[each.name for each in ACTIONS], help="what is done to the server")
    what.add_argument("--table", action="store_true", help="every action in both modes, and what the others can")
    what.add_argument("--chaos", action="store_true", help="everything at once, and kills, drawn from a seed")
    parser.add_argument("--seed", type=int, help="by default another one each time")
    parser.add_argument("--server", choices=list(COMMANDS), default="prefork", help="what it is done to")
    parser.add_argument("--accept", choices=ACCEPTS, default=ACCEPTS[0], help="how prefork's workers accept")
    parser.add_argument(
        "--seconds", type=float, help=f"at most so long, by default {SECONDS:g}, or {CHAOS_SECONDS:g} of chaos"
    )
    parser.add_argument("--count", type=int, help=f"at most so often, by default {COUNT} unless --seconds is given")
    parser.add_argument("--clients", type=int, default=4, help="clients of each kind, for TCP and for a unix socket")
    parser.add_argument(
        "--idle", type=int, help="idle clients, for each of the two; by default as many as of the others"
    )
    parser.add_argument("--pause", type=float, default=0.05, help="the longest time in seconds between two actions")
    arguments = parser.parse_args()
    arguments.idle = arguments.clients if arguments.idle is None else arguments.idle
    possible = [each.name for each in actions(arguments.server)]
    if arguments.action and arguments.action not in possible:
        parser.error(f"{arguments.server} can only {', '.join(possible)}")
    return arguments


def actions(server: str) -> Sequence[Action]:
    """Return what can be done to a server."""
    return ACTIONS if server == "prefork" else OF_PEERS[server]


def happen(arguments: argparse.Namespace) -> int:
    """Let chaos happen to prefork; return the exit status."""
    wanted = Chaos(
        seed=random.randrange(10**6) if arguments.seed is None else arguments.seed,
        seconds=arguments.seconds or CHAOS_SECONDS,
        accept=arguments.accept,
        clients=arguments.clients,
        idle=arguments.idle,
    )
    try:
        outcomes = chaos.run(wanted)
    except KeyboardInterrupt:
        return INTERRUPTED
    sys.stdout.write(f"{chaos.summary(outcomes)}\n")
    return int(bool(outcomes.wrong))


def one(arguments: argparse.Namespace) -> Trial:
    """Return the one trial that is asked for."""
    action = next(each for each in actions(arguments.server) if each.name == arguments.action)
    unlimited = sys.maxsize if arguments.seconds else COUNT
    return Trial(
        server=arguments.server,
        action=action,
        accept=arguments.accept if arguments.server == "prefork" else "",
        clients=arguments.clients,
        idle=arguments.idle,
        count=arguments.count or unlimited,
        pause=arguments.pause,
        seconds=arguments.seconds or SECONDS,
    )


def every(arguments: argparse.Namespace) -> Iterator[Trial]:
    """Yield the trials of the table."""
    alike = partial(
        Trial,
        clients=arguments.clients,
        idle=arguments.idle,
        pause=arguments.pause,
        seconds=arguments.seconds or SECONDS,
    )
    count = arguments.count or COUNT
    for action in ACTIONS:
        for accept in ACCEPTS:
            times = max(1, count // FEWER) if action.name in RARE else count
            yield alike("prefork", action, accept, count=times)
    for peer, possible in OF_PEERS.items():
        for action in possible:
            yield alike(peer, action, count=count)


def equip(names: set[str]) -> None:
    """Install the peers among the named servers; raises MissingError."""
    for server in servers.SERVERS:
        if server.name in names:
            tools.require(server.needs)
            if server.package:
                peers.install(server.package)


def attempt(wanted: Trial, *, told: bool) -> Result | None:
    """Return what comes of a trial, None where the server can't do it; if `told`, say on standard error how it went."""
    name = report.title(wanted)
    try:
        result = trial.run(wanted)
    except Unsupported as unsupported:
        sys.stderr.write(f"{name}: left out: {unsupported}\n")
        return None
    if told:
        sys.stderr.write(f"{report.summary(result)}\n")
    return result


if __name__ == "__main__":
    sys.exit(main())
