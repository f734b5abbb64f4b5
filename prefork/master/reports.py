"""Tells people, and systemd, what has become of the service; its line about the present is kept in status_line.py."""

from collections.abc import Mapping
from time import monotonic

from prefork.ipc.channel import Failed
from prefork.logs.log import Log
from prefork.master.errors import refusal
from prefork.master.fleet import Ending, ReloadFailed, Wanted
from prefork.systemd import Notifier
from prefork.version import VERSION


class Reports:
    """The master's news: a log line for people who read later, a notification for the manager that waits."""

    def __init__(self, log: Log, notifier: Notifier, former: str | None = None) -> None:
        """`former` is the version whose place this one has taken: the first reload completes the upgrade."""
        self._log = log
        self._notifier = notifier
        self._began = monotonic()
        self._former = former
        self._last_failed: Failed | None = None

    def ready(self, wanted: Wanted) -> None:
        self._log.info("ready", workers=wanted.workers, seconds=self._elapsed())
        self._notifier.ready()

    def reloading(self, generation: int) -> None:
        self._began = monotonic()
        self._last_failed = None
        event, versions = ("upgrading", self._versions()) if self._former else ("reloading", {})
        self._log.info(event, **versions, generation=generation)
        self._notifier.reloading()

    def reloaded(self, wanted: Wanted) -> None:
        event, versions = ("upgraded", self._versions()) if self._former else ("reloaded", {})
        self._log.info(event, **versions, generation=wanted.generation, workers=wanted.workers, seconds=self._elapsed())
        self._former = None
        self._notifier.ready()

    def reload_failed(self, failed: ReloadFailed) -> None:
        what = "upgrade" if self._former else "reload"
        self._former = None
        self._log.error(f"{what} failed", generation=failed.generation, kept=failed.kept, reason=failed.reason)
        self._notifier.ready()

    def upgrade_failed(self, kept: int, reason: str) -> None:
        """Tell that the program stays what it is. The service manager was not told to wait."""
        self._log.error("upgrade failed", kept=kept, reason=reason)

    def failed(self, names: Mapping[str, object], failed: Failed) -> None:
        """Tell why a worker can't get ready; once of all that fail alike, until a reload."""
        if failed != self._last_failed:
            self._last_failed = failed
            self._unready("worker", names, failed)

    def mold_failed(self, names: Mapping[str, object], failed: Failed) -> None:
        """Tell why a mold can't get ready."""
        self._unready("mold", names, failed)

    def _unready(self, what: str, names: Mapping[str, object], failed: Failed) -> None:
        self._log.error(f"{what} can't get ready", **names, reason=failed.reason)
        for line in failed.traceback:
            self._log.error("traceback", line=line)

    def refused(self, error: OSError) -> None:
        """Tell what the system refused to something that the master does, which waits for it, and where in the code."""
        self._log.error("refused by the system; goes on in a second", **refusal(error))

    def stopping(self, ending: Ending) -> None:
        self._log.info("stopping", how=ending.value)
        self._notifier.stopping()

    def stopped(self) -> None:
        self._log.info("stopped")

    def _versions(self) -> dict[str, object]:
        return {"from": self._former, "to": VERSION}

    def _elapsed(self) -> str:
        return f"{monotonic() - self._began:.3f}"
