"""Takes over the sockets that somebody else has opened for the service: those of systemd's socket units, and by number.

They are claimed when the process starts, before anything else can get hold of their numbers, and kept to its end:
whether they are listened on is for the configuration to say, and the next may say something else. They belong to
whoever opened them, so their backlog, their files and most of their options are left alone.
"""

import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress

from prefork.config.addresses import Address, Descriptor, Passed
from prefork.master.errors import StartError
from prefork.master.listeners import Listener

NO_LISTENER = "not a listening TCP or unix socket"
ADVICE = "its socket unit needs ListenStream= and Accept=no"


def passed_listeners(
    descriptors: Iterable[tuple[str, int]], wanted: Sequence[Address]
) -> tuple[tuple[Listener, ...], list[str]]:
    """Return what was passed by names, and what is wanted by its number; and the names of what is no use, and closed.

    Raises:
        StartError: 78 where such a one is wanted.
    """
    owners = {number: name for name, number in descriptors}
    by_number = [_by_number(each, owners) for each in wanted if isinstance(each, Descriptor)]
    names: dict[str, list[socket.socket]] = {}
    closed: list[str] = []
    for number, name in owners.items():
        sock = listening_socket(number)
        if sock is not None:
            names.setdefault(name, []).append(sock)
        elif Passed(name) in wanted or Passed() in wanted:
            raise StartError(os.EX_CONFIG, f"systemd:{name}: descriptor {number} is {NO_LISTENER}; {ADVICE}")
        else:
            closed.append(name)
            with suppress(OSError):  # it may not even be open
                os.close(number)
    return (*(Listener(Passed(name), tuple(sockets)) for name, sockets in names.items()), *by_number), closed


def unwanted(passed: Iterable[Listener], wanted: Sequence[Address]) -> list[str]:
    """Return the names of what systemd has passed and nothing listens on."""
    names = [each.address.name for each in passed if isinstance(each.address, Passed)]
    return [] if Passed() in wanted else [name for name in names if Passed(name) not in wanted]


def _by_number(address: Descriptor, owners: dict[int, str]) -> Listener:
    if address.number in owners:
        name = Passed(owners[address.number])
        raise StartError(os.EX_CONFIG, f"{address}: systemd has passed it by a name; bind to {name} instead")
    sock = listening_socket(address.number)
    if sock is None:
        problem = f"{NO_LISTENER}; the service has to be started with one that listens"
        raise StartError(os.EX_CONFIG, f"{address}: {problem}")
    return Listener(address, (sock,))


def listening_socket(number: int) -> socket.socket | None:
    """Return the socket of this number, its owner from now on, or None where nothing can be accepted from it."""
    try:
        sock = socket.socket(fileno=number)
    except OSError:  # not open, or no socket
        return None
    if (
        sock.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
        and sock.type is socket.SOCK_STREAM
        and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ):
        sock.settimeout(0)
        sock.set_inheritable(False)
        return sock
    sock.detach()
    return None
