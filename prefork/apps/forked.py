"""A process that the application forks: what it leaves to the worker that it comes from, and its end if it comes back.

It has copies of all descriptors, and the signals that are the worker's. By these it would keep connections open that
the worker has closed, listen on where nobody serves any more, and wake the worker. Only forks of Python are noticed,
those of os.fork and multiprocessing; what executes another program leaves all behind in any case. One that returns from
the application ends: it is to answer nobody.
"""

import faulthandler
import os
import sys
from contextlib import suppress

from prefork.descriptors import leave
from prefork.ipc.seat import Seat
from prefork.logs.log import STDERR


def leave_seat(seat: Seat) -> None:
    """Leave what a worker has from its beginning on; of what ends this process is told on standard error."""
    faulthandler.enable(STDERR)
    leave((*(each.fileno() for each in seat.listeners), seat.channel.fileno(), seat.stacks))


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
