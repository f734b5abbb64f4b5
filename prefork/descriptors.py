"""Has descriptors of a forked process lead nowhere that are not its own, but those of the process that it comes from.

Closed they would not do: the objects that they belong to are there too, Python's own and those of whatever watches the
program, a profiler or a tracer. They go on writing to their numbers, or close them, when these may be a client's.
"""

import os
from collections.abc import Iterable


def leave(fds: Iterable[int]) -> None:
    """Have these descriptors lead nowhere. They stay open, as the objects that they belong to may close them later."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in fds:
        if fd >= 0:
            os.dup2(nowhere, fd, inheritable=False)
    os.close(nowhere)
