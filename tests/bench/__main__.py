"""Measures prefork beside its peers on this machine: `python -m tests.bench`, from the root of the repository.

The report goes to standard output as Markdown, progress to standard error. Exit status 69: something has to be
installed first.
"""

import argparse
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from tests.bench import experiments, machine, peers, preloading, report, tools
from tests.bench.errors import MissingError
from tests.bench.experiments import Broken, F, Plan, Reading
from tests.bench.load import CASES
from tests.bench.servers import SERVERS, Server

EX_UNAVAILABLE: Final = 69
INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell says it


class Experiment(Struct, frozen=True):
    """One row of EXPERIMENTS: who takes part unless told otherwise, and how many rounds of how many seconds."""

    name: str
    purpose: str
    report: Callable[[Plan], list[str]]
    servers: Sequence[str]
    rounds: int
    seconds: int
    cases: Sequence[str]
    yardstick: str = "nginx"


ALL: Final = tuple(server.name for server in SERVERS)
HELLOS: Final = ("prefork-hello", "nginx", "bjoern", "gunicorn", "granian")
APPLICATIONS: Final = ("prefork", "bjoern", "gunicorn", "granian", "uwsgi", "waitress")
PLAIN: Final = ("1", "64", "1000", "crowd", "pipelined", "close", "unique")
MASTERS: Final = ("prefork-hello", "gunicorn")

# fmt: off
EXPERIMENTS: Final = (
    Experiment("compare", "one worker under load: CPU time, requests a second, memory (the default)",
               lambda plan: report.comparison(plan, told(experiments.compare(plan))), HELLOS, 5, 2, PLAIN),
    Experiment("wsgi", "one worker under load with a WSGI application",
               lambda plan: report.comparison(plan, told(experiments.compare(plan))), APPLICATIONS, 5, 2,
               ("64", "unique"), "bjoern"),
    Experiment("large", "one worker that gives long answers, from memory and from files",
               lambda plan: report.comparison(plan, told(experiments.compare(plan))), ("prefork", "nginx", "gunicorn"),
               5, 2, ("1m", "64m")),
    Experiment("tls", "one worker under load, speaking TLS beside nginx",
               lambda plan: report.comparison(plan, told(experiments.compare(plan))), ("prefork-hello", "nginx"), 5, 2,
               ("tls", "handshake")),
    Experiment("startup", "from the command to the first answer, and memory of a master with 4 and 8 workers",
               lambda plan: report.startup(plan, told(experiments.startup(plan))), MASTERS, 10, 1, ()),
    Experiment("idle", "CPU time of a master and 4 workers that nobody asks for anything",
               lambda plan: report.idle(plan, told(experiments.idle(plan))), MASTERS, 1, 10, ()),
    Experiment("preload", "memory of 4 workers with an application of 60 MB, preloaded and not",
               lambda plan: preloading.report(plan, told(preloading.readings(plan))), ("prefork", "gunicorn"), 3, 5, ()),
    Experiment("scaling", "two workers beside one",
               lambda plan: report.scaling(plan, told(experiments.scaling(plan))), ("prefork-hello",), 5, 2, ()),
)
# fmt: on


def main() -> int:
    """Run one experiment and print its report; returns the exit status."""
    arguments = parse_arguments()
    # So that the servers are ended on SIGTERM as they are on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    allow_descriptors()
    try:
        servers, left_out = equip(arguments.servers or arguments.experiment.servers)
        plan = make_plan(arguments, servers)
        load_before = os.getloadavg()[0]
        figures = arguments.experiment.report(plan)
        lines = [*machine.describe(servers, load_before), "", *figures, *left_out]
    except MissingError as error:
        sys.stderr.write(f"tests.bench: error: {error}\n")
        return EX_UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    sys.stdout.write("\n".join(lines) + "\n")
    return os.EX_OK


def parse_arguments() -> argparse.Namespace:
    """Return the command line's wishes: `experiment` is a row of EXPERIMENTS, what was not given is None."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure prefork beside its peers.")
    kinds = parser.add_mutually_exclusive_group()
    for kind in EXPERIMENTS:
        kinds.add_argument(f"--{kind.name}", dest="experiment", action="store_const", const=kind, help=kind.purpose)
    cpus = sorted(os.sched_getaffinity(0))
    keys = [case.key for case in CASES]
    parser.set_defaults(experiment=EXPERIMENTS[0])
    parser.add_argument("--rounds", type=positive, help="how often each is measured; the median counts")
    parser.add_argument("--seconds", type=positive, help="length of one load, or of idleness")
    parser.add_argument("--quick", action="store_true", help="one round of one second: that it works, not how fast")
    parser.add_argument("--servers", nargs="+", choices=ALL, metavar="NAME", help=f"of {', '.join(ALL)}")
    parser.add_argument("--cases", nargs="+", choices=keys, metavar="CASE", help=f"of {', '.join(keys)}")
    parser.add_argument("--server-cpu", type=int, choices=cpus, default=cpus[0], help="where the server runs")
    parser.add_argument("--client-cpu", type=int, choices=cpus, default=cpus[-1], help="where wrk runs")
    arguments = parser.parse_args()
    if arguments.server_cpu == arguments.client_cpu:
        parser.error("the server and wrk need a CPU each")
    return arguments


def positive(text: str) -> int:
    """Return a whole number from 1; ValueError, of which argparse makes its message, for anything else."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def make_plan(arguments: argparse.Namespace, servers: Sequence[Server]) -> Plan:
    """Return the plan: what the command line leaves open is the experiment's."""
    experiment: Experiment = arguments.experiment
    return Plan(
        servers=servers,
        cases=[case for case in CASES if case.key in (arguments.cases or experiment.cases)],
        rounds=arguments.rounds or (1 if arguments.quick else experiment.rounds),
        seconds=arguments.seconds or (1 if arguments.quick else experiment.seconds),
        cpus=sorted(os.sched_getaffinity(0)),
        server_cpu=arguments.server_cpu,
        client_cpu=arguments.client_cpu,
        yardstick=experiment.yardstick,
    )


def equip(names: Sequence[str]) -> tuple[list[Server], list[str]]:
    """Install the peers among the named servers; return those that can run, and a note for each that can't.

    Raises:
        MissingError: when the machine lacks a tool.
    """
    wanted = [server for server in SERVERS if server.name in names]
    tools.require([tools.WRK, tools.TASKSET, *(tool for server in wanted for tool in server.needs)])
    ready, left_out = [], []
    for server in wanted:
        try:
            if server.package:
                peers.install(server.package)
            ready.append(server)
        except MissingError as error:
            left_out.append(f"- {server.name} is left out, it could not be installed: {error}")
    return ready, left_out


def told(readings: Iterable[Reading[F]]) -> list[Reading[F]]:
    """Collect the readings, and say on standard error how far it is."""
    collected = []
    for number, reading in enumerate(readings, start=1):
        outcome = f"broken: {reading.outcome.reason}" if isinstance(reading.outcome, Broken) else "measured"
        sys.stderr.write(f"{number}: {reading.row.title}, {reading.server.name}: {outcome}\n")
        collected.append(reading)
    return collected


def allow_descriptors() -> None:
    """Raise the limit of open descriptors as far as is allowed; wrk and the servers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
