"""What each signal has the master do."""

import signal
from collections.abc import Callable, Mapping
from typing import Final

from prefork.logs.log import Log
from prefork.master.daemon import has_terminal
from prefork.master.fleet import Ending
from prefork.master.master import Master


class Signals:
    """The signals, by the methods of the master."""

    def __init__(self, master: Master, log: Log) -> None:
        self._master = master
        self._log = log

    def obey(self, number: int, count: int) -> None:
        """Do what a signal that came `count` times asks for."""
        if number == signal.SIGCHLD:
            self._master.reap_strangers()
            return
        self._log.info("signal", name=signal.Signals(number).name, count=count)
        for _ in range(count if number in COUNTED else 1):
            OBEYED[number](self._master)


def interrupt(master: Master) -> None:
    """Stop, and at the second time at once."""
    master.stop(Ending.FAST if master.fleet.ending else Ending.GRACEFUL)


def shrink(master: Master) -> None:
    """Have one worker fewer, but one."""
    master.resize(max(1, master.fleet.wanted.workers - 1))


def drain(master: Master) -> None:
    """Retire all workers and stay."""
    if not has_terminal():  # which sends it by itself when its window changes
        master.resize(0)


# fmt: off
COUNTED: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGTTIN, signal.SIGTTOU})  # the second means more
OBEYED: Final[Mapping[int, Callable[[Master], object]]] = {
    signal.SIGTERM:  lambda master: master.stop(Ending.GRACEFUL),
    signal.SIGINT:   interrupt,
    signal.SIGQUIT:  lambda master: master.stop(Ending.FAST),
    signal.SIGHUP:   Master.reload,
    signal.SIGUSR1:  Master.reopen,
    signal.SIGUSR2:  Master.upgrade,
    signal.SIGTTIN:  lambda master: master.resize(master.fleet.wanted.workers + 1),
    signal.SIGTTOU:  shrink,
    signal.SIGWINCH: drain,
}
CAUGHT: Final = (*OBEYED, signal.SIGCHLD)  # the first are told before the others
# fmt: on
