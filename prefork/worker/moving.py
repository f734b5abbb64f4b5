"""Moves connections from a worker that leaves to those that stay, or from one that has many to one that has few.

Between two of its requests, in the middle of one that is still arriving, or of an answer that is still being sent, a
connection is its socket and a parcel of a few values: both go to an heir, and the client notices nothing. One to which
more is still to be sent than a parcel carries follows when its client has taken enough of it.
"""

import socket
from collections.abc import Callable, Iterable
from errno import ENOBUFS, ENOMEM, ETOOMANYREFS
from itertools import islice
from typing import Final

from msgspec import msgpack

from prefork.http.answers import nothing
from prefork.http.waiting import Waiting
from prefork.ipc.handover import LARGEST_PARCEL, MOST_AT_ONCE, Handover
from prefork.logs.log import Log
from prefork.wording import MORE_DESCRIPTORS
from prefork.worker.connection import Connection, Moved, Writing
from prefork.worker.loop import READABLE, WRITABLE, Loop

# What the system has too little of to send a message now. Descriptors on their way count for all processes of a user,
# up to RLIMIT_NOFILE (unix(7), ETOOMANYREFS).
SCARCE: Final = frozenset({ENOBUFS, ENOMEM, ETOOMANYREFS})
SCARCE_PAUSE: Final = 0.01  # seconds until it is tried again

_encode: Final = msgpack.Encoder().encode
_decode: Final = msgpack.Decoder(Moved).decode


class Departures:
    """The leaving side: deals the connections out to its heirs, as fast as they take them."""

    def __init__(self, heirs: Iterable[Handover], loop: Loop, log: Log) -> None:
        self.heirs = list(heirs)
        self._is_behind = False  # the first of them, whose turn it is
        self._goes_on_at = 0.0
        self._count = 0
        self._loop = loop
        self._log = log

    def move(self, connections: set[Connection]) -> bool:
        """Move those that can move now, and tell whether none of them has to wait. Without an heir, drain them.

        Call it again after every turn of the loop. While the next heir is behind, or the system short of something,
        nothing is looked at: packing what can't be sent would cost every turn.
        """
        if self._is_behind or self._loop.now < self._goes_on_at:
            return False
        movable = iter([each for each in connections if each.can_move])
        while self.heirs and (some := list(islice(movable, MOST_AT_ONCE))):
            if not self._move_some(some):
                return False
        if not self.heirs:
            for connection in connections:
                connection.drain()
        return True

    def close(self) -> None:
        """Tell the heirs that all have come, and the log how many: what an heir that is killed hasn't taken is lost."""
        tell(self._log, "connections handed over", self._count)
        if self._is_behind:
            self._on_writable(WRITABLE)
        for heir in self.heirs:
            heir.close()

    def _wait(self) -> None:
        """Have the loop wake when the next heir has caught up; other turns may come before."""
        self._is_behind = True
        self._loop.watch(self.heirs[0].fileno(), WRITABLE, self._on_writable)

    def _on_writable(self, _events: int) -> None:
        self._is_behind = False
        self._loop.forget(self.heirs[0].fileno())

    def _pause(self) -> None:
        """Have the loop turn again in a moment."""
        self._goes_on_at = self._loop.now + SCARCE_PAUSE
        self._loop.call_at(self._goes_on_at, nothing)

    def _move_some(self, connections: list[Connection]) -> bool:
        """Move these to the next heir; return False when it is behind: it will wake the loop when it has caught up."""
        leaving = [(connection, parcel) for connection in connections if (parcel := packed(connection))]
        heir = self.heirs[0]
        while leaving:
            try:
                sent = heir.send([(parcel, connection.fileno()) for connection, parcel in leaving])
            except BlockingIOError:
                self._wait()
                return False
            except OSError as error:
                if error.errno in SCARCE:
                    self._pause()
                    return False
                self._log.error("heir gone", reason=error.strerror, left=len(leaving))
                del self.heirs[0]
                heir.close()
                return not self.heirs or self._move_some([connection for connection, _parcel in leaving])
            for connection, _parcel in leaving[:sent]:
                connection.forget()
            del leaving[:sent]
            self._count += sent
        self.heirs.append(self.heirs.pop(0))
        return True


class Sharing:
    """The side that has many: moves up to `count` of its idle connections to one heir, a message a turn."""

    def __init__(self, count: int, heir: Handover, connections: set[Connection], loop: Loop, log: Log) -> None:
        self._count = count
        self._moved = 0
        self._heir = heir
        self._connections = connections
        self._loop = loop
        self._log = log
        loop.watch(heir.fileno(), WRITABLE, self.on_writable)

    def on_writable(self, _events: int) -> None:
        """Move as many as one message carries; end with the last, or when all others are busy."""
        idle = (each for each in self._connections if each.waiting_for is Waiting.REQUEST and each.can_move)
        some = list(islice(idle, min(self._count - self._moved, MOST_AT_ONCE)))
        leaving = [(connection, parcel) for connection in some if (parcel := packed(connection))]
        try:
            sent = self._heir.send([(parcel, connection.fileno()) for connection, parcel in leaving]) if leaving else 0
        except BlockingIOError:
            return
        except OSError as error:
            self._log.error("connections not shared", reason=error.strerror, left=self._count - self._moved)
            sent = 0
        for connection, _parcel in leaving[:sent]:
            connection.forget()
        self._moved += sent
        if not sent:
            self._end()

    def _end(self) -> None:
        tell(self._log, "connections shared", self._moved)
        self._loop.forget(self._heir.fileno())
        self._heir.close()


def tell(log: Log, event: str, count: int) -> None:
    """Log how many moved; that none did is no change of anything."""
    write = log.info if count else log.debug
    write(event, count=count)


def packed(connection: Connection) -> bytes | None:
    """Return the parcel in bytes, None for one that no message can carry.

    Its connection stays until its client has taken more, or where nothing is unsent, until its next answer, the last.
    """
    packed = _encode(connection.leave())
    if len(packed) <= LARGEST_PARCEL:
        return packed
    if connection.waiting_for is not Writing.ANSWER:
        connection.drain()
    return None


class Arrivals:
    """The staying side: takes over what comes. `adopt` makes a connection of a socket and what was moved with it.

    Enters the set `arrivals` by itself, and leaves it when all have come.
    """

    def __init__(
        self,
        handover: Handover,
        loop: Loop,
        arrivals: "set[Arrivals]",
        adopt: Callable[[socket.socket, Moved], None],
        log: Log,
    ) -> None:
        self._handover = handover
        self._loop = loop
        self._arrivals = arrivals
        self._adopt = adopt
        self._log = log
        self._count = 0
        loop.watch(handover.fileno(), READABLE, self.on_readable)
        arrivals.add(self)

    def on_readable(self, _events: int) -> None:
        """Take over the connections of one message, or end with the last."""
        parcels, fds = self._handover.receive()
        for parcel, fd in zip(parcels, fds, strict=False):
            sock = socket.socket(fileno=fd)
            sock.settimeout(0)  # whatever the application has made the default
            self._adopt(sock, _decode(parcel))
        if len(fds) < len(parcels):  # MSG_CTRUNC: no descriptors left (unix(7))
            self._log.error("connections lost on their way", count=len(parcels) - len(fds), hint=MORE_DESCRIPTORS)
        self._count += len(fds)
        if not parcels:
            tell(self._log, "connections taken over", self._count)
            self.close()

    def close(self) -> None:
        """Take no more: what has not come is lost."""
        self._loop.forget(self._handover.fileno())
        self._handover.close()
        self._arrivals.discard(self)
