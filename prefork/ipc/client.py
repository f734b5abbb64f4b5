"""Asks a running service to do something, and waits until it has: the other end of its control socket.

Blocks for as long as that takes; what it waits for is bounded by the service's own timeouts.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from glob import escape, glob

from prefork.ipc.control import FAILED, Answer, Request, Stop, decode_answer, encode
from prefork.ipc.control_path import folders, name_of, path_in, path_of_unit, service_name

INTERRUPTED = 130  # exit status, as of a shell's command that SIGINT ended
READ_SIZE = 64 * 1024  # bytes


class CommandError(Exception):
    """A reason why a command had no effect, or not the one that was asked for; `status` is the exit status."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


def ask(request: Request, paths: Sequence[str], timeout: float | None = None) -> Answer:
    """Ask the service that listens at the first of these paths where one does, and return its answer.

    With a `timeout` in seconds each step has as long, the service's answer among them.

    Raises:
        CommandError: 69 when there is no service, 77 for one of somebody else, 1 when it ends without an answer, 130
            when the user doesn't want to wait any longer.
    """
    try:
        with connect(paths, timeout) as sock:
            return exchange(sock, request)
    except KeyboardInterrupt:
        raise CommandError(INTERRUPTED, "interrupted; the service goes on with what it was asked for") from None
    except TimeoutError:
        raise CommandError(FAILED, f"the service had no answer within {timeout:g} s") from None
    except (OSError, ValueError):
        raise CommandError(FAILED, "the service ended before it had an answer") from None


def exchange(sock: socket.socket, request: Request) -> Answer:
    """Send the request and return its answer, or what the service has answered before it came: that too many wait."""
    with suppress(BrokenPipeError):
        sock.sendall(encode(request))
    return decode_answer(read(sock, to_end=isinstance(request, Stop)))


def the_only_path(environ: Mapping[str, str], uid: int) -> str:
    """Return the path of the only service of this user that runs, or of the only one of root; in a unit, of the unit's.

    Raises:
        CommandError: 69 when there is none, 64 when there are several, 77 when it isn't ours.
    """
    if path := path_of_unit(environ):
        return path
    searched = folders(environ, uid)
    refusals = []
    for folder in searched:
        running = []
        for path in sorted(map(path_in, glob(f"{escape(folder)}/{service_name('*')}"))):
            try:
                connect([path]).close()
            except CommandError as error:
                refusals += [error] if error.status != os.EX_UNAVAILABLE else []
            else:
                running.append(path)
        if len(running) > 1:
            names = ", ".join(map(name_of, running))
            raise CommandError(os.EX_USAGE, f"several services run, choose one by --name: {names}")
        if running:
            return running[0]
    if refusals:
        raise refusals[0]
    raise CommandError(os.EX_UNAVAILABLE, f"no service listens in {' or '.join(searched)}; see --name and --control")


def connect(paths: Sequence[str], timeout: float | None = None) -> socket.socket:
    """Return a connection to the service that listens at the first of these paths where one does."""
    for path in paths:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(path)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            sock.close()
        except OSError as error:
            sock.close()
            status = os.EX_NOPERM if isinstance(error, PermissionError) else os.EX_UNAVAILABLE
            raise CommandError(status, f"{path}: {error.strerror or error}") from None
        else:
            return sock
    raise CommandError(os.EX_UNAVAILABLE, f"no service listens at {' or '.join(paths)}; see --name and --control")


def read(sock: socket.socket, *, to_end: bool) -> bytes:
    """Return the line of the answer; if `to_end`, only when the connection has ended, as it does with the master."""
    received = b""
    while to_end or b"\n" not in received:
        data = sock.recv(READ_SIZE)
        if not data:
            break
        received += data
    return received
