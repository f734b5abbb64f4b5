"""What becomes of descriptors in a forked process, and in a program that it executes.

A forked process has those lead nowhere that are not its own, but of the process that it comes from. Closed they would
not do: the objects that they belong to are there too, Python's own and those of whatever watches the program, a
profiler or a tracer. They go on writing to their numbers, or close them, when these may be a client's.
"""

import os
from collections.abc import Iterable


def leave(fds: Iterable[int]) -> None:
    """Have these descriptors lead nowhere. They stay open, as the objects that they belong to may close them later."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        if fd >= 0:
            os.dup2(nowhere, fd, inheritable=False)
    os.close(nowhere)


def set_inheritable(fds: Iterable[int], *, inheritable: bool) -> None:
    """Have programs that are executed from now on inherit these descriptors, or not; Python opens none so."""
    for fd in fds:
        os.set_inheritable(fd, inheritable)
