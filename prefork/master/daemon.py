"""Detaches a service from the terminal; the command returns to the shell only when the service is ready or has failed.

Detach before anything else of the start: whatever is opened later is the daemon's own. Its standard streams are
/dev/null at once; what keeps it from starting crosses a pipe to the process that was called, which reports it in the
same words and with the same exit status as if it had never detached.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import NoReturn

import daemon  # type: ignore[import-untyped]  # it has no types

from prefork.descriptors import set_inheritable
from prefork.master.errors import StartError

UMASK = 0o022  # whoever starts it
VERDICT_BYTES = 4096  # PIPE_BUF: written and read in one piece (pipe(7))
STREAMS = (0, 1, 2)


class Verdict:
    """The daemon's end of the pipe: how the start went, said once. A daemon that ends without a word has failed."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def ready(self) -> None:
        """Let the command return 0."""
        self._give(os.EX_OK, "")

    def failed(self, error: StartError) -> None:
        """Let the command fail as `error` says."""
        self._give(error.status, error.problem)

    def _give(self, status: int, problem: str) -> None:
        with suppress(BrokenPipeError):  # the command was interrupted: nobody waits
            os.write(self._pipe, (bytes([status]) + problem.encode(errors="replace"))[:VERDICT_BYTES])
        os.close(self._pipe)


def detach(keep: Iterable[int]) -> Verdict:
    """Go on as a daemon, with every descriptor closed but those to `keep`; the working directory stays.

    The standard streams have to be open, as `fill_closed_streams` leaves them. Returns in the daemon only. The process
    that was called waits for the verdict and leaves by an exception.

    Raises:
        SystemExit: 0, where the command was called, when the daemon is ready.
        StartError: There too, what the daemon gave to `failed`; 1 when it ended without a verdict; 71 when it can't
            detach, 78 where it must not.
    """
    if os.getpid() == 1:  # its end would be that of all others in its namespace (pid_namespaces(7))
        raise StartError(os.EX_CONFIG, "daemon: the first process of a container must stay in the foreground")
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        raise StartError(os.EX_OSERR, f"daemon: can't fork: {error.strerror}") from error
    if child:
        os.close(writer)
        _report(reader, child)
    verdict = Verdict(writer)
    try:
        _leave_session([writer, *keep])
    except OSError as error:
        verdict.failed(StartError(os.EX_OSERR, f"daemon: can't detach: {error}"))
        os._exit(os.EX_OSERR)
    hand_on_streams()
    return verdict


def has_terminal() -> bool:
    """Tell whether the process has a controlling terminal (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _leave_session(keep: list[int]) -> None:
    daemon.DaemonContext(
        detach_process=True,
        files_preserve=keep,
        working_directory=os.getcwd(),
        umask=UMASK,
        signal_map={},  # by default it ignores TTIN and TTOU, which resize the service
        prevent_core=False,  # the limit that the caller set holds
    ).open()


def _report(pipe: int, child: int) -> NoReturn:
    """Wait for the verdict and pass it on."""
    os.waitpid(child, 0)  # it ends when it has forked the daemon; not every init of a container reaps it
    verdict = os.read(pipe, VERDICT_BYTES)
    os.close(pipe)
    if not verdict:
        raise StartError(1, "daemon: ended before it was ready; start it without --daemon to see why")
    if verdict[0] == os.EX_OK:
        raise SystemExit(os.EX_OK)
    raise StartError(verdict[0], verdict[1:].decode(errors="replace"))


def fill_closed_streams() -> None:
    """Open /dev/null where the caller closed a standard stream, else the next descriptor would take its number."""
    for fd in STREAMS:
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    hand_on_streams()
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for life
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for life
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - for life


def hand_on_streams() -> None:
    """Have programs that are run later inherit the standard streams, which Python's own open keeps from them.

    Without them, the first file that a program opens is its standard input, and the second gets what it prints.
    """
    set_inheritable(STREAMS, inheritable=True)
