"""How a connection ends: with lingering after its last answer, by a reset where that must not look whole, or at once.

However it ends, nothing is left of it: its descriptor is forgotten and closed, and the application learns that nothing
more is wanted of it. What it serves until then is the other half, in connection.py.
"""

import socket
from typing import Final, Self

from prefork.http.messages import Peer
from prefork.http.protocol import Protocol
from prefork.http.waiting import REQUEST, Waiting
from prefork.worker.loop import READABLE, Handler, Loop
from prefork.worker.observing import Observer
from prefork.worker.sending import reset

READ_SIZE: Final = 16 * 1024  # bytes; bounds for how long one client makes the others wait
UNWATCHED: Final = -1  # instead of events, of a connection that the loop doesn't know yet
MOST_DROPPED: Final = 16 * 1024 * 1024  # bytes read after the last answer: as much as a body may have by default


class Closing:
    """The socket of a connection, which it owns, since when it has waited for what, and all that ends with it.

    It enters the set `connections` by itself, and leaves it when it is closed.
    """

    __slots__ = (
        "_connections", "_events", "_looked", "_loop", "_observer", "_protocol", "_socket", "_to_drop", "_unsent", "_waited_for",
        "begun", "peer", "progress", "since",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.SocketType,
        peer: Peer,
        protocol: Protocol,
        loop: Loop,
        connections: "set[Self]",
        *,
        observer: Observer | None = None,
    ) -> None:
        self._socket = sock
        self._loop = loop
        self._protocol = protocol
        self._connections = connections
        self._observer = observer
        self._unsent: bytes | memoryview = b""
        self._to_drop = 0
        self._waited_for: Waiting = REQUEST
        self._events = UNWATCHED
        self._looked = (0.0, 0.0, 0)  # waiting since when, at which moment, and how much the kernel had for the peer
        self.peer = peer
        self.since = self.begun = loop.now
        self.progress = 0
        connections.add(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send_last(self, answer: bytes) -> None:
        """Send an answer that is no application's, and linger."""
        try:
            sent = self._socket.send(answer)
        except OSError:
            self.close()
            return
        if self._observer is not None:
            self._observer.sent(sent)
        self._linger()

    def on_lingering(self, _events: int) -> None:
        """Read and drop, until the peer closes."""
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._to_drop -= len(data)
        if not data or self._to_drop <= 0:
            self.close()

    def close(self) -> None:
        """Close at once."""
        protocol = self._protocol
        if self._events != UNWATCHED:
            self._loop.forget(self._socket.fileno())
        if protocol.cut or protocol.is_streaming or self._unsent:
            reset(self._socket)
        else:
            self._socket.close()
        self._connections.discard(self)
        if self._observer is not None:
            head, valid = protocol.unanswered
            self._observer.closed(head, valid=valid)
        if protocol.keep_alive:  # else there is nothing left
            protocol.abandon()

    def forget(self) -> None:
        """Let go of a connection that has gone to another process."""
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._connections.discard(self)

    def _watch(self, events: int, handler: Handler) -> None:
        fd, before, self._events = self._socket.fileno(), self._events, events
        if before == UNWATCHED:
            self._loop.watch(fd, events, handler)
        elif before == events:
            self._loop.hand_to(fd, handler)
        else:
            self._loop.change(fd, events, handler)

    def _finish(self) -> None:
        """Close after the last answer.

        At once where the peer has announced that it sends nothing more: its `Connection: close` saves two system calls.
        """
        if self._protocol.peer_is_done:
            self.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Half-close and read on, else a reset may destroy the answer before the peer has read it (RFC 9112 §9.6)."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self.since = self._loop.now
        self._to_drop = MOST_DROPPED
        self._watch(READABLE, self.on_lingering)
