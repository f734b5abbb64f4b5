"""Ends a process that the application has forked, where it comes back from there: it is to answer nobody."""

import os
import sys
from contextlib import suppress


def end_if_forked(pid: int, status: int = 1) -> None:
    """End this process, unless it is the one of this pid."""
    if os.getpid() != pid:
        for stream in sys.stdout, sys.stderr:
            with suppress(OSError, ValueError):  # closed, or nobody reads it
                stream.flush()
        os._exit(status)


def status_of(error: BaseException) -> int | None:
    """Return the exit status that an exception asks for, None for one that doesn't."""
    code = error.code if isinstance(error, SystemExit) else error
    return 0 if code is None else code if isinstance(code, int) else None
