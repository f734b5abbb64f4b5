"""Where and with what a run took place: the machine's size and the versions of everything that was measured."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from tests.bench import peers, tools
from tests.bench.servers import Server


def describe(servers: Sequence[Server], load_before: float) -> list[str]:
    """Return the lines that head a report: date, machine, versions, command; for the end of a run."""
    cores = len(os.sched_getaffinity(0))
    memory = parse_memory_bytes(Path("/proc/meminfo").read_text()) / 1e9
    model = parse_model(Path("/proc/cpuinfo").read_text())
    versions = ", ".join(f"{server.name} {version(server)}" for server in servers)
    load = f"load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
    return [
        f"{datetime.now(tz=UTC).date()}: {cores} cores ({model}), {memory:.0f} GB, {load}.",
        f"Linux {platform.release()}, Python {platform.python_version()}, {versions}, wrk {wrk_version()}.",
        f"`{' '.join(['python -m tests.bench', *sys.argv[1:]])}`",
    ]


def parse_model(cpuinfo: str) -> str:
    """Return the model of the first CPU; ARM's cpuinfo has none."""
    model = re.search(r"^model name\s*: (.+)", cpuinfo, re.MULTILINE)
    return model[1] if model else platform.machine()


def parse_memory_bytes(meminfo: str) -> int:
    """Return the memory in bytes; the file gives KiB."""
    return next(int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.startswith("MemTotal:"))


def version(server: Server) -> str:
    """Return the version that runs when `server` is started."""
    if server.package:
        return peers.version(server.package) or "?"
    if server.name == "nginx":
        return said(tools.program("nginx") or "nginx", "-v").rpartition("/")[2]
    return metadata.version("prefork") if server.name.startswith("prefork") else platform.python_version()


def wrk_version() -> str:
    """Return the version of wrk, which Debian spells `debian/4.1.0-3+b2`."""
    return said("wrk", "-v").split()[1].rpartition("/")[2]


def said(*command: str) -> str:
    """Return what a command prints, whichever way and whatever its status."""
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return (run.stdout + run.stderr).strip()
