"""Keeps the listeners in systemd's fd store: a service that starts after a crash has them back with their queues.

Each socket is stored by a name that says what it is: its address as it was configured and, of TCP, its place in the
reuseport group, of unix, the device and inode of its file. So it is taken back exactly where the configuration still
asks for it, as a reload would; the rest is closed and discarded. The store outlives a restart too, and ends with a
stop.
"""

import os
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from prefork.config.addresses import Address, Unix
from prefork.logs.log import Log
from prefork.master.listeners import Listener, Listeners, file_identity
from prefork.master.passed import listening_socket
from prefork.systemd import Notifier

PREFIX: Final = "prefork/"
LONGEST_NAME: Final = 255  # FDNAME_MAX; what has no name that fits isn't stored
_UNFIT: Final = re.compile(rb"[^!-$&-9;-~]")  # systemd takes printable ASCII without the colon, here without % too


class FdStore:
    """What systemd holds for the service: `capacity` sockets at most, and at the start those of the names `held`."""

    def __init__(self, notifier: Notifier, capacity: int, log: Log, held: Iterable[str] = ()) -> None:
        self._notifier = notifier
        self._log = log
        self._held = set(held)
        self._capacity = max(capacity, len(self._held))

    def keep(self, listeners: Listeners) -> None:
        """Store what isn't yet, as long as there is room."""
        wanted = names(listeners) if self._capacity else {}
        missing = [name for name in wanted if name not in self._held]
        room = self._capacity - len(self._held)
        for name in missing[:room]:
            if not self._notifier.store(name, wanted[name].fileno()):
                break  # systemd is behind: not a second of waiting for each
            self._held.add(name)
        if left := len(missing[room:]):
            self._log.warning("fd store is full", left_out=left, hint=f"raise FileDescriptorStoreMax={self._capacity}")

    def settle(self, listeners: Listeners) -> None:
        """Store these and nothing else."""
        for name in self._held - names(listeners).keys():
            if self._notifier.discard(name):
                self._held.remove(name)
        self.keep(listeners)


def names(listeners: Listeners) -> dict[str, socket.socket]:
    """Return the sockets that can be stored, by their names; those of others are kept by them."""
    ours = (each for each in listeners.members if not each.is_foreign)
    named = (pair for each in ours for pair in _named(each))
    return {name: sock for name, sock in named if len(name) <= LONGEST_NAME}


def restored(descriptors: Sequence[tuple[str, int]], wanted: Iterable[Address]) -> tuple[Listener, ...]:
    """Return the listeners that these names and numbers are, of all that are wanted; what is left over is closed."""
    numbers = dict(descriptors)
    listeners = [each for address in wanted if (each := _restored(address, numbers))]
    for number in numbers.values():
        with suppress(OSError):
            os.close(number)
    return tuple(listeners)


def is_stored(name: str) -> bool:
    """Tell whether a name is one that this module gives."""
    return name.startswith(PREFIX)


def _restored(address: Address, numbers: dict[str, int]) -> Listener | None:
    """Take what belongs to an address out of `numbers`."""
    if isinstance(address, Unix):
        file = file_identity(address.path)
        taken = [_name(address, _place(file))] if file else []
    else:
        file = None
        start = _name(address, "")
        places = [place for name in numbers if (place := name.removeprefix(start)).isdecimal()]
        taken = [start + place for place in sorted(places, key=int)]
    found = [listening_socket(numbers.pop(name)) for name in taken if name in numbers]
    sockets = tuple(each for each in found if each)
    return Listener(address, sockets, file) if sockets else None


def _named(listener: Listener) -> Iterator[tuple[str, socket.socket]]:
    for number, sock in enumerate(listener.sockets):
        yield _name(listener.address, _place(listener.file) if listener.file else str(number)), sock


def _name(address: Address, place: str) -> str:
    quoted = _UNFIT.sub(lambda byte: b"%%%02X" % byte[0][0], os.fsencode(str(address)))
    return f"{PREFIX}{quoted.decode()}/{place}"


def _place(file: tuple[int, int]) -> str:
    return f"{file[0]}-{file[1]}"
