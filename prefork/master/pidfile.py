"""Keeps a second instance from starting, by a lock on the pid file that is held for life.

The lock is the truth, the number in the file only information: a file that a crash left behind is not locked and
doesn't matter, whoever has its pid by now (flock(2)).
"""

import fcntl
import os
import stat
from contextlib import suppress

from prefork.master.errors import StartError, explained

MODE = 0o600  # who may read a file may lock it, and so keep the next start from it
FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW


class PidFile:
    """A pid file: acquire it before anything else of the start, write it once the pid is final, release it at the end.

    `fd` is that of a file that this process has acquired as another program, before an upgrade.
    """

    def __init__(self, path: str, fd: int = -1) -> None:
        self.path = path
        self.fd = fd

    def acquire(self) -> None:
        """Create and lock the file, and empty it.

        Raises:
            StartError: 75 while another process holds it, 73 where it can't be created or locked.
        """
        fd = self._open_locked()
        # Its last owner may have unlinked it after we opened it: we would hold a file that nobody else can see.
        while not self._is_current(fd):
            os.close(fd)
            fd = self._open_locked()
        os.ftruncate(fd, 0)
        with suppress(OSError):  # a file that is there may be another user's
            os.fchmod(fd, MODE)
        self.fd = fd

    def write(self, pid: int) -> None:
        """Write the pid, for people and scripts; raises StartError, 73, where there is no room for it."""
        try:
            os.ftruncate(self.fd, os.pwrite(self.fd, b"%d\n" % pid, 0))
        except OSError as error:
            raise self._failure(error, "can't be written", "make room or choose another path") from error

    def release(self) -> None:
        """Unlink the file if it is still ours, then give up the lock, which no child may have a copy of."""
        if self._is_current(self.fd):
            with suppress(OSError):
                os.unlink(self.path)
        os.close(self.fd)
        self.fd = -1

    def _open_locked(self) -> int:
        try:
            fd = os.open(self.path, FLAGS, MODE)
        except OSError as error:
            raise self._failure(error, "can't be created", "make its folder or choose another path") from error
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:  # which another's file may have been given
            os.close(fd)
            problem = f"pid_file {self.path}: not a regular file of one name; choose another path"
            raise StartError(os.EX_CANTCREAT, problem)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(fd, 20, 0).strip()
            os.close(fd)
            raise StartError(os.EX_TEMPFAIL, f"pid_file {self.path}: {_running(owner)}; stop that one first") from error
        except OSError as error:  # as of a network file system
            os.close(fd)
            raise self._failure(error, "can't be locked", "choose another path") from error
        return fd

    def _failure(self, error: OSError, problem: str, advice: str) -> StartError:
        return explained(error, os.EX_CANTCREAT, f"pid_file {self.path}: {problem}", advice)

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.lstat(self.path))
        except OSError:
            return False


def _running(owner: bytes) -> str:
    return f"already running as pid {int(owner)}" if owner.isdigit() else "another instance is starting"
