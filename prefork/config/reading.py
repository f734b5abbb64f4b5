"""Reads the files that a configuration names, and refuses what might keep a start or a reload waiting.

To open a FIFO takes until somebody writes (fifo(7)), to read a terminal until somebody types, and a device may have no
end. Only the configuration itself may come by a pipe, as of a shell's `<(…)`: the others are read by each worker, or
several times.
"""

import os
import stat


class UnfitFileError(OSError):
    """What is there is not to be read; `strerror` says why."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(0, problem, path)


def exit_status(error: OSError) -> int:
    """Return the exit status for a file that can't be read."""
    if isinstance(error, UnfitFileError):
        return os.EX_CONFIG
    return os.EX_NOPERM if isinstance(error, PermissionError) else os.EX_NOINPUT


def read_regular(path: str) -> bytes:
    """Return what is in a regular file; raises OSError."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # that it is a folder, read(2) says
        raise UnfitFileError(path, "Not a regular file")
    with open(path, "rb") as file:
        return file.read()


def read_regular_or_pipe(path: str) -> bytes:
    """Return what is in a regular file, in a pipe that somebody writes to, or in /dev/null; raises OSError."""
    if stat.S_ISFIFO(os.stat(path).st_mode):
        return _read_pipe(path)
    return b"" if os.path.realpath(path) == os.devnull else read_regular(path)


def _read_pipe(path: str) -> bytes:
    with open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as pipe:
        os.set_blocking(pipe.fileno(), True)
        content = pipe.read()
    if not content:  # on a reload all has been read before; as a configuration it would be one of defaults
        raise UnfitFileError(path, "A pipe that nobody writes to")
    return content
