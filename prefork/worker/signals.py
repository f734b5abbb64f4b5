"""What signals do to a worker: SIGTERM wakes its loop, SIGUSR2 writes its stacks, those for its master do nothing."""

import faulthandler
import signal
import socket
from contextlib import suppress
from threading import get_ident
from types import FrameType
from typing import Final

OBEYED: Final = signal.SIGTERM
DUMPING: Final = signal.SIGUSR2  # writes the stacks of all threads, even while C code holds the GIL
IGNORED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGWINCH)
OF_TERMINAL: Final = (signal.SIGTTIN, signal.SIGTTOU)  # caught, the write that it stops would be tried for ever
CAUGHT: Final = (OBEYED, DUMPING, *IGNORED, *OF_TERMINAL)


def ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing, as SIG_IGN would; but that programs which the application runs would inherit (execve(2))."""


class Signals:
    """Catches the signals of this process. Its descriptor is readable after each that is caught, to be obeyed or not.

    Where the application has taken signal.set_wakeup_fd for itself, one that comes just before the poll waits for the
    next tick.
    """

    def __init__(self, stacks: int) -> None:
        self._masks: dict[int, set[signal.Signals | int]] = {}  # by thread
        self._wakeup, self._waker = socket.socketpair()
        for each in self._wakeup, self._waker:
            each.settimeout(0)
        self._came = False
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        faulthandler.register(DUMPING, file=stacks)
        for number in IGNORED:
            signal.signal(number, ignore)
        for number in OF_TERMINAL:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(OBEYED, self._on_obeyed)

    def fileno(self) -> int:
        return self._wakeup.fileno()

    def clear(self) -> bool:
        """Tell whether there was one to be obeyed since this was asked last."""
        with suppress(BlockingIOError):
            while self._wakeup.recv(4096):
                pass
        if not self._came:
            return False
        self._came = False
        return True

    def hold_back(self) -> None:
        """Let them wait in this thread, which is about to fork: one for the child would still be obeyed in it."""
        self._masks[get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)

    def release(self) -> None:
        """Let those come that have waited."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(get_ident()))

    def give_back(self) -> None:
        """Have them do what they do to any process, but for those that the application has taken meanwhile."""
        faulthandler.unregister(DUMPING)
        self._close_waker()
        for number in CAUGHT:
            if signal.getsignal(number) in (ignore, self._on_obeyed, signal.SIG_IGN):
                signal.signal(number, signal.SIG_DFL)

    def close(self) -> None:
        self._wakeup.close()
        self._close_waker()

    def _close_waker(self) -> None:
        if (fd := signal.set_wakeup_fd(-1)) != self._waker.fileno():
            signal.set_wakeup_fd(fd)  # the application's
        self._waker.close()

    def _on_obeyed(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
        with suppress(OSError):  # full of them
            self._waker.send(b"x")
