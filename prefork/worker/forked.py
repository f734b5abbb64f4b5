"""What a process that the application forks leaves to the worker that it comes from: descriptors, and signals.

It has copies of all of them. By these it would keep connections open that the worker has closed, listen on where nobody
serves any more, and wake the worker by signals that are its own. Only forks of Python are noticed, those of os.fork and
multiprocessing; what executes another program leaves all behind in any case.
"""

import os
from collections.abc import Iterable

from prefork.ipc.seat import Seat


def leave(fds: Iterable[int]) -> None:
    """Have these descriptors lead nowhere. They stay open, as the objects that they belong to may close them later."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in fds:
        if fd >= 0:
            os.dup2(nowhere, fd, inheritable=False)
    os.close(nowhere)


def leave_seat(seat: Seat) -> None:
    """Leave what a worker has from its beginning on."""
    leave((*(each.fileno() for each in seat.listeners), seat.channel.fileno(), seat.stacks))
