"""The files of the log and of the access log.

They are opened by the master while it may, and on USR1 opened again at the same numbers; the master sends the fresh
descriptors to its workers, who need no right to open them. None of them blocks: a reader of a pipe that doesn't read
loses lines, and the service doesn't wait for it.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

from prefork.logs.log import STDERR, STDOUT, Log

# Without O_NONBLOCK, to open a pipe that nobody reads would take until somebody does (fifo(7)).
FILE_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NONBLOCK


class LogFiles:
    """Those files, and the numbers they keep for life.

    `log` is a path, None where it stays at the stderr that the process has; `access_log` is a path, a descriptor that
    there is, or None. `access_fd` is where the access log is written, None when it has no file. Forked workers inherit
    all of it. The standard streams are open.

    Raises:
        OSError: A file can't be opened; its `filename` says which.
    """

    def __init__(self, log: str | None = None, access_log: str | int | None = None) -> None:
        self.paths: dict[int, str] = {}
        self._stderr: int | None = None
        for fd in (STDOUT, STDERR):
            _unblock(fd)
        if isinstance(access_log, str):
            self.access_fd: int | None = _open(access_log)
            self.paths[self.access_fd] = access_log
        else:
            self.access_fd = access_log
        if log is not None:
            try:
                _replace(STDERR, _open(log))
            except OSError:
                self.close()
                raise
            self.paths[STDERR] = log

    @classmethod
    def taken_over(cls, paths: Mapping[int, str], access_fd: int | None) -> Self:
        """Return the files that this process has opened as another program, before an upgrade."""
        files = cls(access_log=access_fd)
        files.paths = dict(paths)
        return files

    def save_stderr(self) -> None:
        """Keep what descriptor 2 is, where no path leads to it, as another object is about to take its place."""
        if STDERR not in self.paths:
            self._stderr = os.dup(STDERR)

    def take_back_stderr(self) -> None:
        """Put what was saved in its place again: these are the files that go on."""
        if self._stderr is not None:
            _replace(STDERR, self._stderr)
            self._stderr = None

    def close(self) -> None:
        """Close the file of the access log, once another object has taken its place; descriptor 2 stays."""
        if self._stderr is not None:
            os.close(self._stderr)
            self._stderr = None
        if self.access_fd is not None and self.access_fd in self.paths:
            with suppress(OSError):  # of earlier writes, on a network file system (close(2)); it is closed all the same
                os.close(self.access_fd)

    def reopen(self, log: Log) -> tuple[int, ...]:
        """Open every file afresh, after it was renamed; one that can't be opened goes on as it is, which is logged.

        Returns the descriptors that a worker needs to adopt the same files; they stay ours.
        """
        for fd, path in self.paths.items():
            try:
                _replace(fd, _open(path))
            except OSError as error:
                log.error("log file not reopened", path=path, reason=error.strerror)
        return tuple(self.paths)

    def adopt(self, received: Sequence[int]) -> None:
        """Put descriptors that came from the master's `reopen` in the place of ours; those received are closed.

        A worker that is older than the present configuration may be sent more or fewer than it has: then it keeps its
        own.
        """
        if len(received) == len(self.paths):
            for fd, fresh in zip(self.paths, received, strict=True):
                _replace(fd, fresh)
        else:
            for fresh in received:
                os.close(fresh)


def is_pipe(fd: int) -> bool:
    """Tell whether the descriptor is that of a pipe."""
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def _open(path: str) -> int:
    return os.open(path, FILE_FLAGS, 0o640)


def _unblock(fd: int) -> None:
    """Keep a write to a pipe or a socket from waiting for a reader.

    O_NONBLOCK belongs to all who share a file, so a pipe, which may be our parent's too, is opened anew. A socket can't
    be; the journal gives each service one of its own. A terminal is left alone: it is slow, and its user wants every
    line.
    """
    with suppress(OSError):  # closed, or a pipe of another user: it stays as it is
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            os.set_blocking(fd, False)
        elif is_pipe(fd):
            _replace(fd, os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK))


def _replace(fd: int, fresh: int) -> None:
    """Put `fresh` in the place of `fd` and close its own number; the standard streams are passed on by exec(3)."""
    try:
        os.dup2(fresh, fd, inheritable=fd <= STDERR)
    finally:
        os.close(fresh)
