"""The `wsgi.errors` of an application: what it writes there are lines of the log."""

from collections.abc import Iterable
from threading import local

from prefork.logs.log import Log


class ErrorStream(local):
    """A text stream whose lines are logged; what a thread has not finished is continued by that thread alone."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._unfinished = ""

    def write(self, text: str) -> int:
        """Log each line that is whole."""
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._log.error("wsgi.errors", line=line)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log a line that is not whole, too."""
        if self._unfinished:
            self.write("\n")
