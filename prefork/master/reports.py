"""Tells people, and systemd, what has become of the service."""

from time import monotonic

from prefork.logs import Log
from prefork.master.fleet import Ending, ReloadFailed, Wanted
from prefork.systemd import Notifier


class Reports:
    """The master's news: a log line for people who read later, a notification for the manager that waits."""

    def __init__(self, log: Log, notifier: Notifier) -> None:
        self._log = log
        self._notifier = notifier
        self._began = monotonic()

    def ready(self, wanted: Wanted) -> None:
        self._log.info("ready", workers=wanted.workers, seconds=self._elapsed())
        self._serving(wanted)

    def reloading(self, generation: int) -> None:
        self._began = monotonic()
        self._log.info("reloading", generation=generation)
        self._notifier.reloading()

    def reloaded(self, wanted: Wanted) -> None:
        self._log.info("reloaded", generation=wanted.generation, workers=wanted.workers, seconds=self._elapsed())
        self._serving(wanted)

    def reload_failed(self, failed: ReloadFailed) -> None:
        self._log.error("reload failed", generation=failed.generation, kept=failed.kept, reason=failed.reason)
        self._notifier.status(f"serving with generation {failed.kept}; the last reload failed: {failed.reason}")
        self._notifier.ready()

    def stopping(self, ending: Ending) -> None:
        self._log.info("stopping", how=ending.value)
        self._notifier.stopping()

    def stopped(self) -> None:
        self._log.info("stopped")

    def _serving(self, wanted: Wanted) -> None:
        self._notifier.status(f"serving with {wanted.workers} workers, generation {wanted.generation}")
        self._notifier.ready()

    def _elapsed(self) -> str:
        return f"{monotonic() - self._began:.3f}"
