"""Keeps connections off the numbers of the standard streams, which an application may close.

The next descriptor would take such a number, and whoever is connected by it would read what is printed and logged.
"""

import os
from fcntl import F_DUPFD_CLOEXEC, fcntl
from typing import Final

STDERR: Final = 2


def beyond_streams(fd: int) -> int:
    """Return the descriptor, or if it has the number of a stream, a copy of it; what is written there goes nowhere."""
    if fd > STDERR:
        return fd
    copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR + 1)
    with open(os.devnull, "r+b", buffering=0) as nowhere:
        os.dup2(nowhere.fileno(), fd)
    return copy
