"""What a forked worker does before it serves: it becomes its user, and loads what it serves.

A worker that can't says so to its master, with the reason that people are to read. The check of a configuration does
the same in a child of its own, so that neither the checking process nor the master ever imports the user's application.
"""

import faulthandler
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn, TypeVar

from setproctitle import setproctitle

from prefork.apps.interface import Find, LoadError, Source, ThisWorker
from prefork.config.env_file import read_env_file
from prefork.config.errors import ConfigError
from prefork.config.schema import Config
from prefork.ipc.channel import LARGEST_MESSAGE, Channel, Failed, MalformedError
from prefork.logs.log import Log
from prefork.master.errors import StartError
from prefork.master.identity import Identity, look_up
from prefork.master.processes import end_after, ending, fork, reaped

T = TypeVar("T")

PATIENCE: Final = 0.9  # of boot_timeout
LONGEST_REASON: Final = 1000  # characters
LONGEST_LINE: Final = 500
ROOM_FOR_TRACEBACK: Final = LARGEST_MESSAGE // 2  # bytes


def boot(
    config: Config,
    find: Find,
    load: Callable[[Source], T],
    *,
    identity: Identity | None,
    channel: Channel,
    stacks: int | None = None,
) -> T:
    """Become the workers' user and return what `load` makes of what is found; or tell the master why not, and end.

    If it takes nearly as long as it may, what it is doing is written to `stacks`.
    """
    with telling(channel):
        variables = read_env_file(config.env_file)  # as whoever started us: it may hold secrets
        if identity is not None:
            change_identity(identity)
        with stacks_when_late(stacks, config.boot_timeout * PATIENCE):
            return load(find(config, variables))


@contextmanager
def telling(channel: Channel) -> Iterator[None]:
    """Tell the master why there is nothing to serve, and end the process."""
    try:
        yield
    except LoadError as error:
        _fail(channel, Failed(_plain(error.problem, LONGEST_REASON), error.status, tuple(_fitting(error.traceback))))
    except ConfigError as error:
        _fail(channel, Failed(_plain(str(error), LONGEST_REASON), error.status))


@contextmanager
def stacks_when_late(fd: int | None, seconds: float) -> Iterator[None]:
    """Write this process's stacks to the descriptor, if there is one, when this takes longer: before it is killed."""
    if fd is None or signal.getsignal(signal.SIGALRM) != signal.SIG_DFL:  # the application's, since it was imported
        yield
        return
    faulthandler.register(signal.SIGALRM, file=fd)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGALRM) == signal.SIG_DFL:  # else the application has taken it meanwhile
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.unregister(signal.SIGALRM)


def change_identity(identity: Identity) -> None:
    """Become the workers' user; raises LoadError, 77, where that may not be."""
    try:
        identity.become()
    except (OSError, RuntimeError) as error:
        problem = f"user: a worker can't become {identity.name}: {error}; the system must allow setuid and setgid"
        raise LoadError(os.EX_NOPERM, problem) from None


def check(config: Config, find: Find) -> None:
    """Load in a child what would be served.

    Raises:
        StartError: with the status and the reason with which a start would fail.
    """
    identity = look_up(config.user, config.group)
    log = Log("check", config.log_level)

    def work(channel: Channel) -> None:
        setproctitle("prefork: check")
        end_after(config.boot_timeout)
        worker = ThisWorker(0, 0, os.getpid(), log)
        boot(config, find, lambda source: source.load(worker), identity=identity, channel=channel)

    try:
        _pid, pidfd, channel = fork(work)
    except OSError as error:
        raise StartError(os.EX_OSERR, f"can't fork: {error.strerror}") from None
    try:
        _judge(pidfd, channel, log)
    finally:
        os.close(pidfd)
        channel.close()


def _judge(pidfd: int, channel: Channel, log: Log) -> None:
    end = reaped(pidfd)
    received = None
    # It said nothing, and left a process behind; or the application said something, which is no message.
    with suppress(BlockingIOError, MalformedError):
        received = channel.receive()
    if received and isinstance(received[0], Failed):
        for line in received[0].traceback:
            log.error("traceback", line=line)
        raise StartError(received[0].status, received[0].reason)
    match end:
        case os.CLD_EXITED, os.EX_OK:
            return
        case os.CLD_KILLED, signal.SIGALRM:
            raise StartError(os.EX_DATAERR, "the application was not loaded within boot_timeout")
        case code, status:
            raise StartError(os.EX_DATAERR, f"the application can't be loaded: {ending(code, status)}")


def _fail(channel: Channel, failed: Failed) -> NoReturn:
    with suppress(OSError):  # nobody is left to be told
        channel.send(failed)
    raise SystemExit(failed.status)


def _fitting(lines: Iterable[str]) -> list[str]:
    """Return the last of the lines, as many as a message has room for: the end says what is wrong."""
    kept: list[str] = []
    room = ROOM_FOR_TRACEBACK
    for line in reversed([_plain(each, LONGEST_LINE) for each in lines]):
        room -= len(line.encode())
        if room < 0:
            return ["…", *kept]
        kept.insert(0, line)
    return kept


def _plain(text: str, longest: int) -> str:
    """Return text that UTF-8 can carry: the name of a file may be none."""
    return text[:longest].encode(errors="backslashreplace").decode()
