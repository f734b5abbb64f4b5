"""What a process asks of the kernel by prctl(2), for which Python has no function. Import it where a mold is wanted.

ctypes makes a process larger, so nobody else has it.
"""

import ctypes
import os
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
_libc: Final = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Be given the children of whichever of our descendants end; it holds over execve(2). Raises OSError."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with(parent: int, number: int) -> None:
    """End this process, by a signal, when its parent ends.

    Ask after becoming somebody else, which the kernel forgets it by.

    Raises:
        OSError: the system refused.
    """
    _prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it has ended before
        os.kill(os.getpid(), number)


def _prctl(option: int, argument: int) -> None:
    if _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(argument), *[ctypes.c_ulong(0)] * 3):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
