"""The stacks that a worker writes when it is told to, each of their lines as a line of the log.

A pipe for each worker, since faulthandler writes word by word and the words of several workers would mix. It works for
one that hangs too, which can send no message. What a worker has inherited from whom it was forked from is left out: of
forty lines it is thirty, and `systemctl status` shows the last ten.
"""

import os
import re
from typing import Final

READ_SIZE: Final = 64 * 1024  # bytes: what fits into a pipe (pipe(7))
LONGEST_LINE: Final = 1024  # bytes
FRAME: Final = '  File "'
BORN: Final = re.compile(r'  File ".*/prefork/run/roles\.py", line \d+ in \w*be_\w+')


def stacks_pipe() -> tuple[int, int]:
    """Return the ends to read from and to write to. Neither blocks: what is too much for the pipe is lost."""
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)


class Stacks:
    """The end to read from."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._begun = b""
        self._inherited = False

    def read(self) -> list[str] | None:
        """Return the lines that are complete by now, None when there will be no more."""
        try:
            data = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return []
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > LONGEST_LINE:
            lines, self._begun = [*lines, self._begun], b""
        whole = [line.decode(errors="replace") for line in lines if line]
        return [line for line in whole if not self._is_inherited(line)] if data else None

    def _is_inherited(self, line: str) -> bool:
        """Tell whether a line is of a frame below that of a process's birth; call it with each line once."""
        if not line.startswith(FRAME):
            self._inherited = False
        inherited = self._inherited
        self._inherited = inherited or BORN.fullmatch(line) is not None
        return inherited

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)
