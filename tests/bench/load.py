"""Loads a server with wrk: the cases as a table, and what wrk says about a run as a value.

wrk gets a thread for each of its CPUs. A Lua script that counts needs to be alone with its counter: one CPU.
"""

import re
import subprocess
import time
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.bench.errors import NoFigureError

LUA: Final = Path(__file__).parent / "lua"
GRACE_SECONDS: Final = 10  # what wrk may take beyond its duration, to connect and to sum up


class Case(Struct, frozen=True):
    """One kind of load: `key` chooses it, `batch` is how many requests come at once, `options` are wrk's.

    So many further connections as `idle` are open meanwhile. `app` is what WSGI servers serve.
    """

    key: str
    title: str
    connections: int
    batch: int = 1
    options: tuple[str, ...] = ()
    tls: bool = False
    idle: int = 0
    path: str = "/"
    app: str = "hello:app"


# fmt: off
CASES: Final = (
    Case("1",         "1 connection",            1),
    Case("64",        "64 connections",          64),
    Case("1000",      "1,000 connections",       1000),
    Case("crowd",     "100 among 10,000 connections", 100, idle=9900),
    Case("pipelined", "16 pipelined",            64, 16, ("-s", str(LUA / "pipelined.lua"))),
    Case("close",     "a connection a request",  64, options=("-H", "Connection: close")),
    Case("unique",    "heads that never repeat", 64, options=("-s", str(LUA / "unique.lua"))),
    Case("tls",       "64 connections, TLS",     64, tls=True),
    Case("handshake", "a TLS handshake a request", 64, options=("-H", "Connection: close"), tls=True),
    Case("1m",        "answers of 1 MiB",        16, path="/1m", app="large:app"),
    Case("64m",       "files of 64 MiB",         4, options=("--timeout", "10s"), path="/64m", app="large:app"),
)
# fmt: on


class Count(Struct, frozen=True):
    """What wrk counted in one run; `trouble` names its socket errors and wrong answers, empty when there were none."""

    requests: int
    requests_per_second: float
    trouble: str = ""


def parse(output: str) -> Count:
    """Read wrk's report, as wrk 4 prints it."""
    requests = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if not requests or not rate:
        raise NoFigureError(f"wrk reported nothing: {output.strip()!r}")
    sockets = re.search(r"Socket errors: (.+)", output)
    kinds = [kind.split() for kind in sockets[1].split(",")] if sockets else []
    troubles = [f"{count} {kind} errors" for kind, count in kinds if count != "0"]
    if wrong := re.search(r"Non-2xx or 3xx responses: (\d+)", output):
        troubles.append(f"{wrong[1]} answers neither 2xx nor 3xx")
    return Count(int(requests[1]), float(rate[1]), ", ".join(troubles))


def load(port: int, case: Case, *, seconds: int, cpus: str) -> Count:
    """Load 127.0.0.1:`port` for whole `seconds` from `cpus`, a list as taskset takes it; blocks until the load ends.

    Raises:
        NoFigureError: when wrk saw an error or a wrong answer, or no answer at all.
    """
    # What follows the dashes is for the script: a start for its counter, so that no run repeats an earlier one's heads.
    target = [f"{'https' if case.tls else 'http'}://127.0.0.1:{port}{case.path}", "--", str(time.time_ns())]
    threads = min(cpus.count(",") + 1, case.connections)
    wrk = ["wrk", f"-t{threads}", f"-c{case.connections}", f"-d{seconds}s", *case.options, *target]
    try:
        run = subprocess.run(
            ["taskset", "-c", cpus, *wrk], capture_output=True, text=True, check=False, timeout=seconds + GRACE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NoFigureError(f"wrk did not end within {error.timeout:g} s") from error
    count = parse(run.stdout + run.stderr)
    if count.trouble or not count.requests:
        raise NoFigureError(f"{count.requests:,} answers, {count.trouble or 'then silence'}")
    return count
