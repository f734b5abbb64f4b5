"""Starts again and again, in development, what can't be served yet: each time that a file has changed.

The process waits here between two starts, with nothing listened on, no pid file and no workers: just the watcher, which
lives on from one to the next, so that no change in between is missed.
"""

import gc
import os
import signal
from collections.abc import Callable

from prefork.config.errors import ConfigError
from prefork.config.load import Loaded
from prefork.development.watching import Watching
from prefork.logs.log import Log
from prefork.master.errors import UnservableError
from prefork.master.poller import Poller
from prefork.master.signals import CAUGHT

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def persist(
    start: Callable[[Loaded], int],
    loaded: Loaded,
    reread: Callable[[], Loaded],
    watching: Watching,
    tell: Callable[[Exception], None] | None = None,
) -> int:
    """Start until the application can be served, and return the exit status, which is 0 when told to stop before.

    Besides the log, `tell` is told each time why it is not served yet.

    Raises:
        StartError: for what no change of these files mends.
    """
    log = Log("master", loaded.config.log_level)
    current: Loaded | None = loaded
    while True:
        try:
            return start(current or reread())
        except (UnservableError, ConfigError) as problem:
            log.error("can't start; waiting for a change", reason=problem)
            if tell is not None:
                tell(problem)
        gc.unfreeze()  # the master froze what there was of it, so that no collection would take what it has left
        if not changed(watching, log):
            log.info("stopped")
            return os.EX_OK
        current = None


def changed(watching: Watching, log: Log) -> bool:
    """Wait for a change, unless one has come since the start began, or for HUP; return False for a signal that ends."""
    poller = Poller()
    came: list[int] = []

    def on_signal(number: int, count: int) -> None:
        if number in ENDING or number == signal.SIGHUP:
            log.info("signal", name=signal.Signals(number).name, count=count)
            came.append(number)

    poller.on_signal = on_signal
    poller.catch(CAUGHT)
    watching.begin(poller, lambda: None, log)
    while not came and not watching.noticed:
        poller.turn()
    watching.noticed = False
    poller.block_signals()
    poller.close()
    return not came or came[0] == signal.SIGHUP
