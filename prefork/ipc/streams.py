"""Keeps what comes to a process off the numbers of the standard streams, which an application may close.

The next descriptor would take such a number: a client would read what is printed and logged, and the other end of a
channel would be told it.
"""

import os
from fcntl import F_DUPFD_CLOEXEC, fcntl
from typing import Final

STDERR: Final = 2


def beyond_streams(fd: int) -> int:
    """Return the descriptor, or if it has the number of a stream, a copy of it; what is written there goes nowhere.

    Raises:
        OSError: there is no descriptor left for that; this one is closed.
    """
    if fd > STDERR:
        return fd
    try:
        with open(os.devnull, "r+b", buffering=0) as nowhere:
            copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR + 1)
            os.dup2(nowhere.fileno(), fd)
    except OSError:
        os.close(fd)
        raise
    return copy
