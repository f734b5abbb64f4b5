"""Acts in processes of their own, where that would change this one."""

import os
import signal
import sys
from collections.abc import Callable

from prefork.master.processes import fork_child


def environment(**more: str) -> dict[str, str]:
    """Return the environ in which a Python finds this project from any folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(os.path.isabs, sys.path)), **more}


def in_child(act: Callable[[], None]) -> None:
    """Act in a child that has to end well, and where nobody has taken SIGALRM, as here the limit of a test has."""

    def work() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        act()

    pid = fork_child(work)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
