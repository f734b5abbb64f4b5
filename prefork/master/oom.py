"""Tells a worker that the kernel killed for memory from one that somebody killed: both die of SIGKILL.

The kernel counts what it kills in each memory cgroup: memory.events of cgroup v2, memory.oom_control of v1
(cgroups(7)).
"""

import re
from collections.abc import Iterator
from typing import Final

from prefork.kernel import cgroups, read

ROOT: Final = "/sys/fs/cgroup"
OOM_KILL: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class OomKills:
    """The kernel's counters for the cgroup of this process."""

    def __init__(self, membership: str = "/proc/self/cgroup", root: str = ROOT) -> None:
        self._files = list(counters(read(membership), root))
        self._counted = self._count()

    def new(self) -> bool:
        """Tell whether the kernel has killed for memory since this was asked last."""
        before, self._counted = self._counted, max(self._counted, self._count())  # less where it can't be read (EMFILE)
        return self._counted > before

    def _count(self) -> int:
        return sum(int(found) for file in self._files for found in OOM_KILL.findall(read(file)))


def counters(membership: str, root: str) -> Iterator[str]:
    """Yield the files that count, by the text of /proc/PID/cgroup; a container may see its own cgroup as the root."""
    for controllers, path in cgroups(membership):
        if not controllers:
            yield from (f"{root}{path}/memory.events", f"{root}/unified{path}/memory.events")
        elif "memory" in controllers.split(","):
            yield f"{root}/memory{path}/memory.oom_control"
