"""Gives the process to the program that is installed now: first a trial beside the service, then execve(2).

The trial is the same command, told only to check: it imports all of its modules, reads the configuration and
understands the state that it would go on with. One that fails changes nothing. After the execve the new program goes on
with the workers of the old one, and replaces them as a reload does: pid, sockets and connections stay, and when its own
workers can't get ready the old ones stay too.
"""

import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from prefork.ipc.channel import Channel
from prefork.logs.log import STDERR, STDOUT
from prefork.master.poller import Poller
from prefork.master.processes import end_after, ending, fork, reaped
from prefork.master.state import State, dump, execute

TAIL_BYTES: Final = 4096  # of what a trial printed: enough for its last line


class Upgrade:
    """The way to another program, at most one at a time.

    When the trial has passed it is `due`: the master has it performed as soon as no reload is under way. `failed` is
    called with the reason when nothing comes of it.
    """

    def __init__(self, poller: Poller, failed: Callable[[str], None]) -> None:
        self.due = False
        self._poller = poller
        self._failed = failed
        self._trial: Trial | None = None

    @property
    def pids(self) -> set[int]:
        """The child that is the trial, if there is one."""
        return {self._trial.pid} if self._trial else set()

    def begin(self, state: State) -> str | None:
        """Start the trial, which has as long as a worker to get ready; return why that can't be."""
        if self._trial is not None or self.due:
            return "another is under way"
        try:
            self._trial = Trial(state, state.config.boot_timeout)
        except (OSError, ValueError) as error:
            return str(error)
        self._poller.watch(self._trial.pidfd, self._on_exit)
        return None

    def perform(self, state: State) -> None:
        """Become the other program, while signals are held back. Returns only when that fails."""
        self.due = False
        try:
            execute(dump(state), state.descriptors())
        except (OSError, ValueError) as error:
            self._failed(str(error))

    def cancel(self, reason: str) -> None:
        """Give it up, if there is one. Its child is a stranger from now on, and reaped as such."""
        trial, self._trial = self._trial, None
        if trial is not None:
            self._poller.forget(trial.pidfd)
            trial.kill()
            trial.close()
        if trial is not None or self.due:
            self._failed(reason)
        self.due = False

    def _on_exit(self) -> None:
        trial = self._trial
        assert trial is not None
        reason = trial.verdict()
        self._trial = None
        self._poller.forget(trial.pidfd)
        trial.close()
        self.due = reason is None
        if reason is not None:
            self._failed(reason)


class Trial:
    """The other program, while it is tried."""

    def __init__(self, state: State, timeout: float) -> None:
        """Start it; it ends within `timeout` seconds.

        Raises:
            OSError: the system refused.
            ValueError: the state can't be written.
        """
        data = dump(state)
        self._output = os.memfd_create("prefork-trial")

        def work(_channel: Channel) -> None:
            for stream in (STDOUT, STDERR):
                os.dup2(self._output, stream)
            end_after(timeout)
            execute(data, (), "--check-config")

        try:
            self.pid, self.pidfd, channel = fork(work)
        except OSError:
            os.close(self._output)
            raise
        channel.close()  # only workers talk

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):  # it has ended
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def verdict(self) -> str | None:
        """Reap it, once its pidfd is readable, and return why it would not do; None when it would."""
        match reaped(self.pidfd):
            case os.CLD_EXITED, os.EX_OK:
                return None
            case os.CLD_KILLED, signal.SIGALRM:
                return "boot_timeout passed"
            case code, status:
                return self._last_line() or ending(code, status)

    def close(self) -> None:
        """Close what is ours of it."""
        os.close(self.pidfd)
        os.close(self._output)

    def _last_line(self) -> str:
        """Return the last line that it wrote, of an error what follows the name of the program; empty without any.

        It raises nothing: a trial is reaped once.
        """
        tail = b""
        with suppress(OSError):
            size = os.fstat(self._output).st_size
            tail = os.pread(self._output, TAIL_BYTES, max(0, size - TAIL_BYTES))
        line = tail.decode(errors="replace").rstrip().rpartition("\n")[2].strip()
        return re.sub(r"^\S+: error: ", "", line)
