"""Binds and opens the sockets that the service listens on.

What is new is bound before anything is given up, what there is already is taken over, and a failure leaves everything
as it was.
"""

import math
import os
import socket
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECONNREFUSED, ENOENT
from typing import Any, Final

from msgspec import Struct

from prefork.config.addresses import Address, Descriptor, Inet, Passed, Unix
from prefork.kernel import read
from prefork.master.errors import StartError, explained
from prefork.master.listeners import Accept, Listener, Listeners, identity_of, unlink
from prefork.master.owning import owning

SOMAXCONN = "/proc/sys/net/core/somaxconn"
# Bytes that the kernel takes of an answer beyond what the network does (TCP_NOTSENT_LOWAT, tcp(7)). Without, a client
# that reads nothing costs 2.8 MB, and a slow one is thought to take nothing until a third of those are gone.
MOST_NOT_SENT: Final = 128 * 1024
PROBLEMS: Final = {
    EADDRINUSE: (os.EX_UNAVAILABLE, "address in use; stop what listens there (see `ss -ltnp`) or choose another"),
    EACCES: (os.EX_NOPERM, "no permission; a port below 1024 takes root or CAP_NET_BIND_SERVICE"),
    EADDRNOTAVAIL: (os.EX_UNAVAILABLE, "cannot assign address; choose one that this machine has (see `ip addr`)"),
    EAFNOSUPPORT: (os.EX_UNAVAILABLE, "cannot assign address; this machine has that version of IP switched off"),
}


class SocketOptions(Struct, frozen=True):
    """What sockets are given.

    `unix_mode` and `unix_group`, whose None is the master's own, are for the files of unix ones; for those of TCP are
    `tcp_user_timeout`, in seconds, 0 for the system's, and `tcp_defer_accept`, for how many seconds a connection may be
    left to the kernel that nothing has come of yet.
    """

    backlog: int
    unix_mode: int = 0o660
    tcp_user_timeout: float = 0.0
    tcp_defer_accept: float = 0.0
    unix_group: int | None = None


def open_listeners(
    addresses: Iterable[Address],
    options: SocketOptions,
    *,
    accept: Accept,
    slots: int,
    previous: Listeners | None = None,
) -> Listeners:
    """Listen on every address, with a socket for each slot where `accept` is "reuseport"; `previous` is taken over.

    A name stands for the first of its addresses, in the order of getaddrinfo(3); to listen on more, list them.
    When it fails, everything that was newly opened is closed again and `previous` goes on as it is.

    Raises:
        StartError: 69 for an address in use or not of this machine, 77 without permission, 73 for a unix socket that
            can't be created, 78 for one that was not passed, 71 for anything else.
    """
    held, passed = (previous.members, previous.passed) if previous else ((), ())
    count = slots if accept == "reuseport" else 1
    members: list[Listener] = []
    with ExitStack() as undo:
        for address in dict.fromkeys(addresses):
            with _explained(address):
                if isinstance(address, Unix):
                    known = next((member for member in held if member.address == address), None)
                    member = known or _open_unix(address, options, undo)
                elif isinstance(address, Inet):
                    member = _open_inet(address, count, held, undo)
                else:
                    member = _given(address, passed)
            members.append(member)
        # Only when all else is done: what was queued on a socket that a failure closes would be reset.
        for step in (_configure, _listen):
            for member in members:
                with _explained(member.address):
                    step(member, options)
        undo.pop_all()
    return Listeners(accept, tuple(members), passed)


def backlog_warning(backlog: int, path: str = SOMAXCONN) -> str | None:
    """Return what to say when the kernel cuts `backlog`; None where it doesn't, or can't be asked."""
    cap = read(path).strip()
    if not cap.isdecimal() or int(cap) >= backlog:
        return None
    return f"backlog {backlog} is cut to {cap} by the kernel; to have it all: sysctl -w net.core.somaxconn={backlog}"


def _configure(member: Listener, options: SocketOptions) -> None:
    """Set what the connections that TCP sockets accept inherit."""
    for each in member.sockets:
        if each.family is not socket.AF_UNIX and each.proto in (0, socket.IPPROTO_TCP):  # a passed one may be of MPTCP
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(options.tcp_user_timeout * 1000))
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_NOT_SENT)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, math.ceil(options.tcp_defer_accept))


def _listen(member: Listener, options: SocketOptions) -> None:
    if not member.is_foreign:
        for each in member.sockets:
            each.listen(options.backlog)  # of one that listens already, this changes the backlog


def _given(address: Passed | Descriptor, passed: Sequence[Listener]) -> Listener:
    """Return what was passed by that name or number; raises StartError."""
    everything = address == Passed()
    found = [each for each in passed if each.address == address or (everything and isinstance(each.address, Passed))]
    if not found:
        raise StartError(os.EX_CONFIG, f"{address}: {_not_given(address, passed)}")
    return Listener(address, tuple(each for member in found for each in member.sockets))


def _not_given(address: Passed | Descriptor, passed: Sequence[Listener]) -> str:
    if isinstance(address, Descriptor):
        return "the service was not started with it; restart it with that socket"
    names = " and ".join(sorted(each.address.name for each in passed if isinstance(each.address, Passed)))
    if not names:
        return "systemd has passed no socket; start the service by its socket unit"
    return f"systemd has passed {names}, none of that name; see FileDescriptorName= of the socket unit"


def _open_inet(address: Inet, count: int, ours: Sequence[Listener], undo: ExitStack) -> Listener:
    """Bind as many sockets as are missing from `count`, all in one reuseport group; the first decides about port 0."""
    sockets = [each for member in ours if member.address == address for each in member.sockets]
    if sockets:
        family, where = sockets[0].family, sockets[0].getsockname()
    else:
        family, where = _resolve(address)
        _refuse_occupied_port(family, where, ours)
    while len(sockets) < count:
        fresh = undo.enter_context(_tcp_socket(family))
        fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # of a single one too: a reload may add to it
        fresh.bind(where)
        where = fresh.getsockname()
        sockets.append(fresh)
    return Listener(address, tuple(sockets))


def _resolve(address: Inet) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    # As bytes, or Python loads its codec for international names: 4 ms of the start.
    host = address.host.encode()
    family, _, _, _, where = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)[0]
    return family, where


def _refuse_occupied_port(family: int, where: tuple[Any, ...], ours: Sequence[Listener]) -> None:
    """Bind once without SO_REUSEPORT, with which a second instance of the same user would join the first unnoticed.

    Not where this service has the port already: a reload may go from 0.0.0.0 to 127.0.0.1.
    """
    tcp = (each for member in ours if isinstance(member.address, Inet) for each in member.sockets)
    if (family, where[1]) not in {(each.family, each.getsockname()[1]) for each in tcp}:
        with _tcp_socket(family) as probe:
            probe.bind(where)


def _tcp_socket(family: int) -> socket.socket:
    fresh = socket.socket(family, socket.SOCK_STREAM)
    fresh.settimeout(0)
    fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else TIME_WAIT of the last run is in the way
    if family == socket.AF_INET6:
        fresh.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # [::] and 0.0.0.0 are two addresses
    return fresh


def _open_unix(address: Unix, options: SocketOptions, undo: ExitStack) -> Listener:
    """Bind to another name in the same folder and rename when it listens: the path always leads to a live server."""
    _refuse_occupied_path(address)
    folder, slash, _ = address.path.rpartition("/")
    temporary = f"{folder}{slash}.{os.getpid()}"
    fresh = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    fresh.settimeout(0)
    unlink(temporary)
    with owning(options.unix_mode, options.unix_group):
        fresh.bind(temporary)
    try:
        fresh.listen(options.backlog)
        listener = Listener(address, (fresh,), identity_of(temporary))
        os.rename(temporary, address.path)
    except OSError:
        unlink(temporary)
        raise
    undo.callback(listener.close)
    return listener


def _refuse_occupied_path(address: Unix) -> None:
    """Raise unless there is nothing at the path, or a socket that refuses: only that proves that nobody listens."""
    try:
        mode = os.lstat(address.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        problem = f"{address}: exists and is not a socket; remove it or choose another path"
        raise StartError(os.EX_CANTCREAT, problem)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(0)
        if caller.connect_ex(address.path) not in (ECONNREFUSED, ENOENT):
            problem = f"{address}: address in use; stop the server that listens there or choose another path"
            raise StartError(os.EX_UNAVAILABLE, problem)


@contextmanager
def _explained(address: Address) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _explanation(address, error) from error


def _explanation(address: Address, error: OSError) -> StartError:
    if isinstance(error, socket.gaierror):
        return explained(error, os.EX_UNAVAILABLE, f"{address}: cannot resolve the name", "try an IP address")
    if isinstance(address, Unix):
        advice = "its folder must exist and be writable"
        return explained(error, os.EX_CANTCREAT, f"{address}: cannot create the socket", advice)
    if error.errno in PROBLEMS:
        status, problem = PROBLEMS[error.errno]
        return StartError(status, f"{address}: {problem}")
    return explained(error, os.EX_OSERR, f"{address}: cannot listen", "choose another address")
