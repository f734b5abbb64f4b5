"""The stacks that a worker writes when it is told to, each of their lines as a line of the log.

A pipe for each worker, since faulthandler writes word by word and the words of several workers would mix. It works for
one that hangs too, which can send no message.
"""

import os
from typing import Final

READ_SIZE: Final = 64 * 1024  # bytes: what fits into a pipe (pipe(7))
LONGEST_LINE: Final = 1024  # bytes


def stacks_pipe() -> tuple[int, int]:
    """Return the ends to read from and to write to. Neither blocks: what is too much for the pipe is lost."""
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)


class Stacks:
    """The end to read from."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._begun = b""

    def read(self) -> list[str] | None:
        """Return the lines that are complete by now, None when there will be no more."""
        try:
            data = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return []
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > LONGEST_LINE:
            lines, self._begun = [*lines, self._begun], b""
        return [line.decode(errors="replace") for line in lines if line] if data else None

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)
