"""What one version of this program passes on to the next, which takes its place in the same process by execve(2).

Descriptors and children outlive an execve. What they mean is written into a memfd, the state, whose number the new
program finds in its environment.

The state is read by a program that is older or newer than the one that wrote it: a field may be added with a default,
anything else raises FORMAT, and a program that doesn't know a format refuses it at the trial.
"""

import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from functools import cache
from typing import Final, NoReturn

from msgspec import MsgspecError, Struct, json

from prefork.config.addresses import Address
from prefork.config.load import INTERNAL_PREFIX
from prefork.config.schema import Config
from prefork.descriptors import set_inheritable
from prefork.ipc.channel import Channel
from prefork.ipc.scoreboard import Scoreboard
from prefork.logs.log import STDERR
from prefork.master.crew import Crew
from prefork.master.errors import StartError
from prefork.master.fleet import Fleet
from prefork.master.generation import Generation, Kept
from prefork.master.listeners import Accept, Listener, Listeners
from prefork.master.processes import Process
from prefork.master.stacks import Stacks
from prefork.version import VERSION

# Of all that two versions share: the state, the messages of ipc, the parcels of connections, the rows of the
# scoreboard.
FORMAT: Final = 2
VARIABLE: Final = f"{INTERNAL_PREFIX}STATE"


class Header(Struct, frozen=True):
    """What a state of any format begins with."""

    format: int
    version: str


class HeldListener(Struct, frozen=True):
    """A Listener, with the numbers of its sockets."""

    address: Address
    sockets: tuple[int, ...]
    file: tuple[int, int] | None = None


class HeldWorker(Struct, frozen=True):
    """A Process, with the numbers of its channel, its row, its listeners and the pipe of its stacks."""

    pid: int
    channel: int
    row: int
    listeners: tuple[int, ...]
    stacks: int


class State(Struct, frozen=True, kw_only=True):
    """All that the next program has to know. It is written while no reload is under way, so there is one generation.

    `config` is that of this generation, `newest` the highest number that any had; `workers` are by the keys of their
    places.
    """

    format: int = FORMAT
    version: str = VERSION
    fleet: Fleet
    newest: int
    config: Config
    accept: Accept
    listeners: tuple[HeldListener, ...]
    passed: tuple[HeldListener, ...] = ()
    workers: Mapping[int, HeldWorker]
    scoreboard: int
    log_paths: Mapping[int, str] = {}
    access_fd: int | None = None
    kept: Kept = Kept()

    def descriptors(self) -> Iterator[int]:
        """Yield all that are passed on, beyond the standard streams, which always are."""
        yield self.scoreboard
        yield from (fd for listener in (*self.listeners, *self.passed) for fd in listener.sockets)
        yield from (fd for worker in self.workers.values() for fd in (worker.channel, worker.stacks))
        yield from self.kept.descriptors.values()
        if self.kept.control is not None:
            yield from self.kept.control.descriptors()
        if self.access_fd is not None and self.access_fd > STDERR:
            yield self.access_fd


def state_of(fleet: Fleet, newest: int, generation: Generation, crew: Crew, kept: Kept) -> State:
    """Return the state of a service, whose present generation this is."""
    return State(
        fleet=fleet,
        newest=newest,
        config=generation.config,
        accept=generation.listeners.accept,
        listeners=tuple(map(_held_listener, generation.listeners.members)),
        passed=tuple(map(_held_listener, generation.listeners.passed)),
        workers={key: _held_worker(each) for key, each in crew.processes.items()},
        scoreboard=crew.scoreboard.fd,
        log_paths=generation.files.paths,
        access_fd=generation.files.access_fd,
        kept=kept,
    )


def listeners_of(state: State) -> Listeners:
    """Return the listeners, as objects again; call it once."""
    socket_of = cache(_socket)  # what was passed is there twice

    def listener(held: HeldListener) -> Listener:
        return Listener(held.address, tuple(map(socket_of, held.sockets)), held.file)

    return Listeners(state.accept, tuple(map(listener, state.listeners)), tuple(map(listener, state.passed)))


def processes_of(state: State, listeners: Listeners, scoreboard: Scoreboard) -> Iterator[tuple[int, Process]]:
    """Yield the workers by their keys, as objects again; call it once. Their pids are still theirs: none is reaped.

    What a worker still listens on and the master has closed is left out.
    """
    sockets = {each.fileno(): each for each in listeners.sockets}
    for key, each in state.workers.items():
        channel = Channel(_socket(each.channel))
        given = {sockets[fd] for fd in each.listeners if fd in sockets}
        yield (
            key,
            Process(each.pid, os.pidfd_open(each.pid), channel, scoreboard.take(each.row), given, Stacks(each.stacks)),
        )


def dump(state: State) -> bytes:
    """Return the state as text, JSON: after an accident it can be read in /proc/PID/fd.

    Raises:
        ValueError: there is text in it that no UTF-8 can carry, such as the name of a file.
    """
    return json.encode(state)


def load(data: bytes) -> State:
    """Return the state.

    Raises:
        StartError: 70 for one that this version can't understand.
    """
    try:
        header = json.decode(data, type=Header)
        if header.format != FORMAT:
            raise _unreadable(f"version {header.version} wrote format {header.format}, {VERSION} reads {FORMAT}")
        return json.decode(data, type=State)
    except MsgspecError as error:
        raise _unreadable(f"{VERSION} doesn't understand it: {error}") from error


def execute(data: bytes, fds: Iterable[int], *flags: str) -> NoReturn:
    """Become the program that is installed now: the command that this process was started with, and `flags`.

    It finds the state in the environment, and these descriptors open; all others close on the way.

    Raises:
        OSError: it can't be executed; nothing has changed.
    """
    passed = [os.memfd_create("prefork-state", 0), *fds]
    try:
        os.pwrite(passed[0], data, 0)
        set_inheritable(passed, inheritable=True)
        # Not orig_argv[0], which may be a bare name: the same interpreter, whatever PATH is.
        command = [sys.executable, *sys.orig_argv[1:], *flags]
        os.execve(sys.executable, command, {**os.environ, VARIABLE: str(passed[0])})  # noqa: S606 - no shell is wanted
    finally:
        set_inheritable(passed, inheritable=False)
        os.close(passed[0])


def read_state(environ: MutableMapping[str, str]) -> State | None:
    """Return the state that `execute` left, if it did, and take it out of the environment.

    Raises:
        StartError: 70 for one that can't be read.
    """
    number = environ.pop(VARIABLE, None)
    if number is None:
        return None
    try:
        with open(int(number), "rb") as file:
            file.seek(0)
            return load(file.read())
    except (OSError, ValueError) as error:
        raise _unreadable(f"{VARIABLE}={number}: {error}") from error


def claim(state: State) -> None:
    """Keep what was passed on from being inherited further."""
    set_inheritable(state.descriptors(), inheritable=False)


def _held_listener(listener: Listener) -> HeldListener:
    return HeldListener(listener.address, tuple(each.fileno() for each in listener.sockets), listener.file)


def _held_worker(process: Process) -> HeldWorker:
    return HeldWorker(
        pid=process.pid,
        channel=process.channel.fileno(),
        row=process.row.number,
        listeners=tuple(each.fileno() for each in process.listeners),
        stacks=process.stacks.fd,
    )


def _socket(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.settimeout(0)
    return sock


def _unreadable(problem: str) -> StartError:
    return StartError(os.EX_SOFTWARE, f"upgrade: the state can't be read: {problem}; restart the service instead")
