"""What the kernel says about processes: /proc, read."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct


class Process(Struct, frozen=True):
    """A process as /proc/PID/stat has it; `cpu_seconds` is what it has used so far."""

    pid: int
    state: str
    parent: int
    session: int
    terminal: int
    cpu_seconds: float


def process(pid: int) -> Process | None:
    """Return what is known of a process; None for one that has ended, reaped or not."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    ticks = int(words[11]) + int(words[12])
    found = Process(pid, words[0], int(words[1]), int(words[3]), int(words[4]), ticks / os.sysconf("SC_CLK_TCK"))
    return None if found.state in "ZX" else found


def processes() -> Iterator[Process]:
    """Yield all processes that have not ended."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (found := process(int(entry.name))):
            yield found


def children(pid: int) -> list[int]:
    """Return the pids of the children that have not ended, the oldest first."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return [each for each in all_children(pid) if process(each)]
    return []


def all_children(pid: int) -> list[int]:
    """Return the pids of the children, those among them that have ended and are not reaped."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors(pid: int) -> dict[int, str]:
    """Return what each open descriptor of a process leads to, such as `socket:[4711]`; of an ended one none.

    Those of /proc are left out: the master has them for a moment, as after each end of a worker.
    """
    found = {}
    with suppress(OSError):  # it ends meanwhile, or is another user's
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found[int(entry.name)] = str(entry.readlink())
    return {fd: target for fd, target in found.items() if not target.startswith("/proc/")}


def inheritable(pid: int) -> dict[int, str]:
    """Return those open descriptors of a process that another program would inherit (proc(5), /proc/PID/fdinfo)."""

    def closed_on_exec(fd: int) -> bool:
        try:
            info = Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
        except FileNotFoundError:  # it was closed meanwhile
            return True
        flags = re.search(r"^flags:\s*(\d+)$", info, re.MULTILINE)
        return flags is not None and bool(int(flags[1], 8) & os.O_CLOEXEC)

    return {fd: target for fd, target in descriptors(pid).items() if not closed_on_exec(fd)}


def status(pid: int) -> dict[str, list[str]]:
    """Return the lines of /proc/PID/status in words, by their names: Uid, Gid, Groups, VmRSS …"""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: words.split() for name, _, words in (line.partition(":") for line in lines)}


def resident_bytes(pid: int) -> int:
    """Return how much memory a process occupies."""
    return int(status(pid)["VmRSS"][0]) * 1024


def title(pid: int) -> str:
    """Return what ps shows for a process, nothing for one that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
    return ""


def cpu_share(pids: Iterable[int], seconds: float = 0.5) -> float:
    """Watch processes for a while; return which part of one CPU they used, 1.0 for one that spins."""
    pids = list(pids)
    before = _cpu_seconds(pids)
    time.sleep(seconds)  # not a wait: the length of the measurement
    return (_cpu_seconds(pids) - before) / seconds


def _cpu_seconds(pids: Iterable[int]) -> float:
    return sum(found.cpu_seconds for found in map(process, pids) if found)
