"""The lines of the access log: many of them are written together, and those that find no room are counted."""

import os

from prefork.logs.files import is_pipe
from prefork.logs.journal import Entries
from prefork.logs.log import LINE_BYTES, Log

ACCESS_BYTES = 256 * 1024  # what may wait for a full disk or a slow reader


class AccessLog:
    """Collects lines and writes them together. `lost` counts those that found no room while writing failed.

    `problem` is why the latest write failed, empty where it didn't, or where a reader was slow; `told` what is known.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lost = 0
        self.problem = ""
        self.told = ""
        self._waiting = bytearray()
        self._at_once = LINE_BYTES if is_pipe(fd) else ACCESS_BYTES

    def add(self, line: bytes) -> None:
        """Collect one whole line."""
        if len(self._waiting) + len(line) > ACCESS_BYTES:
            self.flush()
        if len(self._waiting) + len(line) > ACCESS_BYTES:
            self.lost += 1
        else:
            self._waiting += line

    def flush(self) -> None:
        """Write what was collected, in one write(2), to a pipe in several; what finds no room waits for the next."""
        while self._waiting:
            whole_lines = self._waiting.rfind(b"\n", 0, self._at_once) + 1
            try:
                written = os.write(self.fd, self._waiting[: whole_lines or self._at_once])
            except BlockingIOError:
                return
            except OSError as error:
                self.problem = os.strerror(error.errno or 0)
                return
            self.problem = ""
            del self._waiting[:written]

    def give_up(self) -> None:
        """Count what still waits among what is lost: nobody will write it, nor add to it."""
        self.lost += self._waiting.count(b"\n")


def tell_losses(access_log: AccessLog | Entries, log: Log) -> None:
    """Log when lines can't be written and when they can again, and how many are lost."""
    if isinstance(access_log, AccessLog) and access_log.problem != access_log.told:
        access_log.told = access_log.problem
        if access_log.problem:
            path, reason = _path_of(access_log.fd), access_log.problem
            log.error("access log can't be written, lines wait", path=path, reason=reason)
        else:
            log.info("access log is written again")
    if access_log.lost:
        log.warning("access log lines lost", count=access_log.lost)
        access_log.lost = 0


def _path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:  # no /proc
        return ""
