"""What comes before HTTP on some connections: the header of a proxy, a TLS handshake. No request has begun yet.

It is a list of steps, each of which is tried whenever the socket is ready for it. A step returns the events that it
waits for, or the socket with which the next one goes on when it is done. Raising Rejection it has the peer told in
HTTP; raising OSError it gives the connection up, with a reason in place of an errno where the peer is to blame.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from prefork.http.messages import Peer, Rejection
from prefork.worker.loop import READABLE, Loop

Step: TypeAlias = Callable[[socket.SocketType], socket.SocketType | int]
# The steps that this peer has to take by this socket, maybe none. They may complete what is known of it.
Opener: TypeAlias = Callable[[Peer, socket.SocketType], list[Step]]


class Opening:
    """A connection that is being opened. Owns its socket until `opened` is called with it, or `refused`.

    `gave_up` is told why it came to neither. It counts as one of the `peer` that it has begun with, and has waited
    `since` then.

    Enters the set `openings` by itself and leaves it when it is done or closed.
    """

    __slots__ = ("_fd", "_gave_up", "_loop", "_opened", "_openings", "_refused", "_socket", "_steps", "peer", "since")

    def __init__(
        self,
        sock: socket.SocketType,
        steps: list[Step],
        loop: Loop,
        openings: "set[Opening]",
        *,
        opened: Callable[[socket.SocketType], object],
        refused: Callable[[socket.SocketType, Rejection], object],
        gave_up: Callable[[OSError], object],
        peer: Peer,
        since: float,
    ) -> None:
        self._socket = sock
        self._fd = sock.fileno()  # a step may leave the socket without it, when it fails to make another one of it
        self._steps = steps
        self._loop = loop
        self._openings = openings
        self._opened = opened
        self._refused = refused
        self._gave_up = gave_up
        self.peer = Peer(peer.address)  # a step may learn another
        self.since = since
        loop.watch(self._fd, READABLE, self.on_ready)
        openings.add(self)

    def on_ready(self, _events: int) -> None:
        """Go as far as the socket lets it."""
        while self._steps:
            try:
                result = self._steps[0](self._socket)
            except Rejection as rejection:
                self._leave()
                self._refused(self._socket, rejection)
                return
            except OSError as error:
                self.give_up(error)
                return
            if isinstance(result, int):
                self._loop.change(self._fd, result, self.on_ready)
                return
            self._socket = result
            del self._steps[0]
        self._leave()
        self._opened(self._socket)

    def give_up(self, error: OSError) -> None:
        """Close it, for this reason."""
        with suppress(OSError):  # a step has closed it
            self._loop.forget(self._fd)
        self._socket.close()
        self._openings.discard(self)
        self._gave_up(error)

    def _leave(self) -> None:
        self._loop.forget(self._fd)
        self._openings.discard(self)
