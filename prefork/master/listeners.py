"""What the service listens on, as values. The master owns all sockets for life; nothing is accepted here.

A configuration asks for addresses, a reload for some others: what both name is taken over with its queue of
connections. No socket is closed while its address is wanted, but a unix one that nobody can reach: closing one member
of a reuseport group resets the connections in its queue (tcp_migrate_req in ip-sysctl). So fewer slots leave sockets
over, which the remaining slots serve, and another `accept` only shares the same sockets out differently.
"""

import os
import socket
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from prefork.config.addresses import Address, Descriptor, Inet, Passed, Unix

Accept = Literal["reuseport", "shared"]


class Listener(Struct, frozen=True):
    """An address as configured and its sockets. `file` is the device and inode of a unix socket that we bound."""

    address: Address
    sockets: tuple[socket.socket, ...]
    file: tuple[int, int] | None = None

    @property
    def bound(self) -> tuple[Address, ...]:
        """Where it really listens: a name resolved, port 0 chosen by the kernel, what passed sockets are bound to."""
        if isinstance(self.address, Unix):
            return (self.address,)
        return tuple(dict.fromkeys(map(address_of, self.sockets)))

    @property
    def is_foreign(self) -> bool:
        """Whether somebody else has opened it, to whom its backlog and its file are left."""
        return isinstance(self.address, Passed | Descriptor)

    @property
    def is_reachable(self) -> bool:
        """Whether its address leads to it: the file of a unix socket may have been removed or replaced."""
        return not isinstance(self.address, Unix) or self.file == file_identity(self.address.path)

    def close(self) -> None:
        """Close the sockets; unlink a unix socket unless somebody else has put another in its place.

        Done again it does nothing: the inode of one that is closed may be that of somebody else's by now.
        """
        if isinstance(self.address, Unix) and self.sockets[0].fileno() >= 0 and self.is_reachable:
            unlink(self.address.path)
        for each in self.sockets:
            each.close()


class Listeners(Struct, frozen=True):
    """All that the service listens on, and how it is shared out among the slots.

    `passed` is what others have opened for the service, by their names and numbers, whether it is listened on or not:
    it is there from the start, and kept to the end, since a reload may ask for it.
    """

    accept: Accept
    members: tuple[Listener, ...]
    passed: tuple[Listener, ...] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that are really listened on."""
        return tuple(each for member in self.members for each in member.bound)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """All sockets that there are."""
        return tuple(dict.fromkeys(each for member in (*self.members, *self.passed) for each in member.sockets))

    def reachable(self) -> "Listeners":
        """Return these without those to which nobody can connect any more."""
        return Listeners(self.accept, tuple(each for each in self.members if each.is_reachable), self.passed)

    def for_slot(self, slot: int, slots: int) -> tuple[socket.socket, ...]:
        """Return the sockets that slot `slot` of `slots` serves; together the slots serve all of them."""
        return tuple(
            each
            for member in self.members
            for number, each in enumerate(member.sockets)
            if number % slots == slot or self.accept == "shared" or not isinstance(member.address, Inet)
        )

    def with_sockets_of(self, other: "Listeners") -> "Listeners":
        """Return these, with the further sockets that `other` has for the same addresses, or those that lead there."""
        others = {each.address: each for each in other.members}

        def better(member: Listener) -> Listener:
            both = member, others.get(member.address, member)
            return max(both, key=lambda each: (each.is_reachable, len(each.sockets)))

        return Listeners(self.accept, tuple(map(better, self.members)), self.passed)

    def close_dropped(self, successor: "Listeners") -> None:
        """Close what `successor` didn't take over."""
        kept = set(successor.sockets)
        for member in self.members:
            if kept.isdisjoint(member.sockets) and not member.is_foreign:
                member.close()

    def close(self) -> None:
        """Close everything, at the end, in the master: a worker that did would unlink the unix sockets."""
        for member in (*self.members, *self.passed):
            member.close()


def address_of(sock: socket.socket) -> Address:
    """Return where a socket is bound; an abstract name begins with @."""
    name = sock.getsockname()
    if sock.family is socket.AF_UNIX:
        return Unix(os.fsdecode(name).replace("\0", "@", 1))
    return Inet(name[0], name[1])


def file_identity(path: str) -> tuple[int, int] | None:
    """Return the device and inode of what is at the path, None where there is nothing."""
    with suppress(OSError):
        return identity_of(path)
    return None


def identity_of(path: str) -> tuple[int, int]:
    """Return the device and inode of what is at the path; raises OSError where it can't be looked at."""
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def unlink(path: str) -> None:
    """Remove what is at the path, if there is anything and it may be."""
    with suppress(OSError):
        os.unlink(path)
