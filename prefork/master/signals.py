"""What each signal has the master do."""

import signal
from collections.abc import Callable, Mapping
from typing import Final

from prefork.config.schema import MOST_WORKERS
from prefork.logs.log import Log
from prefork.master.daemon import has_terminal
from prefork.master.fleet import Ending
from prefork.master.master import Master


def obey(master: Master, log: Log, number: int, count: int) -> None:
    """Have the master do what a signal that came `count` times asks for."""
    if number == signal.SIGCHLD:
        master.forking.reap_strangers()
        return
    log.info("signal", name=signal.Signals(number).name, count=count)
    for _ in range(count if number in COUNTED else 1):
        OBEYED[number](master)


def interrupt(master: Master) -> None:
    """Stop, and at the second time at once."""
    master.stop(Ending.FAST if master.fleet.ending else Ending.GRACEFUL)


def grow(master: Master) -> None:
    """Have one worker more, up to the most that there may be."""
    master.resize(min(MOST_WORKERS, master.fleet.wanted.workers + 1))


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
    signal.SIGTTIN:  grow,
    signal.SIGTTOU:  shrink,
    signal.SIGWINCH: drain,
}
CAUGHT: Final = (*OBEYED, signal.SIGCHLD)  # the first are told before the others
# fmt: on
