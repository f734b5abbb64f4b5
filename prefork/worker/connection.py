"""One client's connection: the thin shell that owns the socket around the protocol, which has no I/O.

What a connection is doing is which of its methods the loop calls: `on_readable`, `on_writable` while an answer waits to
be taken, `on_lingering` after the last answer (closing.py). A peer that closes is noticed in each of them, and its
descriptor is forgotten and closed at once: a socket left behind would stay in CLOSE_WAIT and make the loop spin.
"""

from enum import Enum
from time import monotonic
from typing import Final

from msgspec import Struct

from prefork.http.messages import Peer
from prefork.http.protocol import HIGH_WATER, Parcel
from prefork.http.waiting import APPLICATION, BODY, HEAD, REQUEST, Waiting
from prefork.ipc.handover import LARGEST_PARCEL
from prefork.worker.closing import READ_SIZE, UNWATCHED, Closing
from prefork.worker.loop import READABLE, WRITABLE
from prefork.worker.observing import Owed
from prefork.worker.sending import send_file, untaken

LONGEST_TURN: Final = 0.01  # seconds, after which an application that makes its answer slowly lets others be served


class Writing(Enum):
    """What a connection waits for when it is not the protocol that waits; each has its timeout."""

    ANSWER = "an answer to be taken"
    LINGERING = "the peer's close"


class Moved(Struct, frozen=True, omit_defaults=True):
    """A connection on its way to another process: since when it waits, in seconds of CLOCK_MONOTONIC, and for what.

    `unsent` is what is left of answers that the protocol has given out; `owed` and `began` are what its observer knows.
    """

    peer: Peer
    since: float
    parcel: Parcel
    unsent: bytes = b""
    owed: tuple[Owed, ...] = ()
    began: float = 0.0


class Connection(Closing):
    """A socket, who is at its other end, its protocol, and the moment since when it has waited.

    While a body is received or an answer is taken, `begun` tells since when, and `progress` how many bytes of it have
    been.
    """

    __slots__ = ()

    @property
    def waiting_for(self) -> Waiting | Writing:
        """What runs out first, if nothing happens."""
        if self._to_drop:
            return Writing.LINGERING
        # What is behind is given out when the kernel takes more, so when the peer has taken some of what it has.
        is_taken = self._unsent or self._protocol.behind
        return Writing.ANSWER if is_taken else self._protocol.waiting_for

    def begin(self, *, to_read: bool) -> None:
        """Wait for the first bytes, or read them, which may well be all that the loop would ever tell of."""
        if to_read:
            self.on_readable(READABLE)
        if self._events == UNWATCHED and self in self._connections:
            self._watch(READABLE, self.on_readable)

    def on_readable(self, _events: int) -> None:
        """Read once, and answer what has become whole."""
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:  # ECONNRESET and the like: there is nobody to answer
            self.close()
            return
        if not data:
            self.close()  # nothing is owed: what is answered is sent before the next read
            return
        answer = self._protocol.receive(data)
        if not answer:
            self._wait_on(len(data))
            return
        # Written out, as `_send` would cost 0.06 µs a request.
        try:
            sent = self._socket.send(answer)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if self._observer is not None:
            self._observer.sent(sent)
        self.since = self._loop.now
        self._waited_for = REQUEST
        if sent < len(answer):
            self.begun, self.progress = self.since, sent
            self._unsent = memoryview(answer)[sent:]
            self._watch(WRITABLE, self.on_writable)
        elif self._protocol.waiting_for is not REQUEST:
            self.begun, self.progress = self.since, sent
            self._answered()

    def on_writable(self, _events: int) -> None:
        """Send on; nothing is read until all is sent, so a peer that doesn't read can't make answers pile up."""
        if not self._unsent:
            self._give()
        elif self._send(self._unsent):
            self._answered()

    def on_hangup(self, _events: int) -> None:
        """Close: the peer is gone, while the application is at work for it."""
        self.close()

    def go_on(self) -> None:
        """Go on when the application has done what was pending."""
        if self in self._connections:
            self._answered()

    def expire(self) -> None:
        """Give up waiting: tell the peer, where that makes sense, and close."""
        is_told = not (self._unsent or self._protocol.behind)
        answer = self._protocol.expire() if is_told else b""
        if answer:
            self.send_last(answer)
        else:
            self.close()

    def look(self, now: float, min_data_rate: float) -> bool:
        """Wait from now on, where the peer has taken enough since the last look of what the kernel has of an answer.

        The kernel says that it takes more only when little is left of that, which may have been MOST_AT_ONCE. Return
        whether there was a look to compare with.
        """
        left = untaken(self._socket)
        since, then, before = self._looked
        if since != self.since:
            self._looked = self.since, now, left
            return False
        if before - left > min_data_rate * (now - then):
            self.since = now
            self._looked = now, now, left
        return True

    @property
    def occupying(self) -> str:
        """The request that a thread is at work on for it, as in the log; empty where none is."""
        return self._protocol.occupying

    def drain(self) -> None:
        """Make the next answer the last."""
        self._protocol.drain()

    @property
    def is_idle(self) -> bool:
        """Whether it is drained, and no request has begun to arrive."""
        return self.waiting_for is Waiting.LAST

    def close_idle(self) -> None:
        """Close an idle connection, unless a request has arrived that no turn has seen yet."""
        self.on_readable(READABLE)
        if self in self._connections and self.is_idle:
            self._linger()

    def resume(self, moved: Moved) -> None:
        """Go on where the connection left in another process, waiting since then."""
        if self._observer is not None:
            self._observer.resume(moved.owed, moved.began)
        self._unsent = moved.unsent + self._protocol.resume(moved.parcel)
        self._waited_for = self._protocol.waiting_for
        self.since = moved.since
        if self._unsent or self._protocol.behind:
            self._watch(WRITABLE, self.on_writable)
        else:
            self._watch(READABLE, self.on_readable)

    @property
    def can_move(self) -> bool:
        """Whether it can go on in another process.

        Not when only the peer's close is waited for, nor with too much unsent, nor with TLS, whose keys nobody gives
        out, nor while the application is giving an answer.
        """
        if self._to_drop or len(self._unsent) > LARGEST_PARCEL or self.peer.scheme != b"http":
            return False
        return self._protocol.can_move

    def leave(self) -> Moved:
        """Return what it takes to go on in another process."""
        owed, began = self._observer.leave() if self._observer is not None else ((), 0.0)
        return Moved(self.peer, self.since, self._protocol.leave(), bytes(self._unsent), owed, began)

    def _wait_on(self, received: int) -> None:
        """Let the timeout of a head run from its first byte, that of a body from its latest."""
        waiting_for = self._protocol.waiting_for
        if waiting_for is not self._waited_for:
            self.since = self.begun = self._loop.now
            self.progress = 0
        elif waiting_for is BODY:
            self.since = self._loop.now
            self.progress += received
        self._waited_for = waiting_for
        if self._observer is not None:
            self._observer.begin()
        if waiting_for is APPLICATION:
            self._wait_for_application()

    def _wait_for_application(self) -> None:
        """Read nothing until it has done what is pending; the kernel tells in any case of a peer that has reset."""
        pending = self._protocol.pending
        assert pending is not None
        pending.on_done = self.go_on
        self.since = self._loop.now
        self._watch(0, self.on_hangup)

    def _answered(self) -> None:
        """Go on after all that was given out is sent."""
        protocol = self._protocol
        is_done = protocol.pending is not None and protocol.pending.is_done
        if protocol.waiting_for is APPLICATION and (protocol.behind or is_done):
            self._give()
        else:
            self._settle()

    def _give(self) -> None:
        """Send what comes next: more pipelined answers, or a turn's share of one that the application is giving."""
        share = HIGH_WATER
        while share > 0 and (sent := self._give_piece()):
            share -= sent
            goes_on = self._protocol.behind and self._protocol.waiting_for is APPLICATION
            if not goes_on or monotonic() > self._loop.now + LONGEST_TURN:
                break
        if sent is not None:
            self._settle()

    def _give_piece(self) -> int | None:
        """Return how many bytes are sent of the next piece, None when the peer has to take more first, or is gone."""
        file = self._protocol.file
        if file is None:
            piece = self._protocol.receive(b"")
            return len(piece) if not piece or self._send(piece) else None
        try:
            sent = send_file(self._socket, file, encrypted=self.peer.scheme == b"https")
        except BlockingIOError:
            self._watch(WRITABLE, self.on_writable)
            return None
        except OSError:
            sent = 0
        if not sent:
            self.close()
            return None
        self._sent(sent)
        return sent

    def _send(self, data: bytes | memoryview) -> bool:
        """Send this and tell whether all is taken; the rest waits for the peer, if it isn't gone."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return False
        if not self._unsent:
            self.begun, self.progress = self._loop.now, 0
        self._sent(sent)
        self._unsent = memoryview(data)[sent:]
        if self._unsent:
            self._watch(WRITABLE, self.on_writable)
        return not self._unsent

    def _sent(self, count: int) -> None:
        if count:
            self.since = self._loop.now
            self.progress += count
        if self._observer is not None:
            self._observer.sent(count)

    def _settle(self) -> None:
        """Wait for what comes next, or close after the last answer."""
        protocol = self._protocol
        if protocol.behind:
            self._watch(WRITABLE, self.on_writable)
        elif protocol.cut:
            self.close()
        elif not protocol.keep_alive:
            self._finish()
        elif protocol.waiting_for is APPLICATION:
            self._wait_for_application()
        else:
            self._watch(READABLE, self.on_readable)
            self._waited_for = protocol.waiting_for
            self.begun, self.progress = self._loop.now, 0
            if self._observer is not None and protocol.waiting_for in (HEAD, BODY):
                self._observer.begin()
