"""What a tree of processes has cost, as the kernel counts it: CPU time in nanoseconds, memory in bytes.

CPU time is the first field of /proc/PID/task/TID/schedstat, kept by thread: one that appears later counts from zero,
and one that has ended makes the difference of two readings void, because nobody knows what it used at last. Memory is
PSS, in which a page that n processes share counts 1/n for each. Parsing and arithmetic are pure; only `tree`,
`cpu_ns` and `pss_bytes` read.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.bench.errors import NoFigureError

PROC = Path("/proc")


def parse_schedstat(text: str) -> int:
    """Return the time on a CPU in ns (Documentation/scheduler/sched-stats.rst in Linux: the first of three)."""
    return int(text.split(maxsplit=1)[0])


def parse_pss(rollup: str) -> int:
    """Return the PSS in bytes of a smaps_rollup, which gives it in KiB as `Pss:  490 kB`."""
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def spent_ns(before: Mapping[int, int], after: Mapping[int, int]) -> int:
    """Return the CPU time in ns between two readings of `cpu_ns`.

    Raises:
        NoFigureError: when a thread of the first reading is missing in the second.
    """
    if ended := before.keys() - after.keys():
        raise NoFigureError(f"{len(ended)} of its threads or processes ended under load")
    return sum(ns - before.get(thread, 0) for thread, ns in after.items())


def tree(root: int) -> list[int]:
    """Return the pids of a process and all its descendants."""
    tasks = (PROC / str(root) / "task").iterdir()
    children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [root, *(pid for child in children for pid in tree(child))]


def cpu_ns(root: int) -> dict[int, int]:
    """Return the CPU time in ns of each thread in the tree of `root`, by thread id."""
    try:
        return {
            int(task.name): parse_schedstat((task / "schedstat").read_text())
            for pid in tree(root)
            for task in (PROC / str(pid) / "task").iterdir()
        }
    except (FileNotFoundError, ProcessLookupError) as error:
        raise NoFigureError("one of its processes ended while its CPU time was read") from error


def pss_bytes(root: int) -> int:
    """Return the PSS of the tree of `root` in bytes."""
    try:
        return sum(parse_pss((PROC / str(pid) / "smaps_rollup").read_text()) for pid in tree(root))
    except (FileNotFoundError, ProcessLookupError) as error:
        raise NoFigureError("one of its processes ended while its memory was read") from error
