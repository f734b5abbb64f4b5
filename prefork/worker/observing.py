"""Tells of requests: to the access log, and at log level debug each head as it came.

A line is written when the kernel has taken the last byte of an answer, so that it tells how much was sent and how long
that took; or when the connection ends before. A request that never became whole, or was never answered, is told with
status 499.
"""

import os
import re
import time
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import Final

from msgspec import Struct

from prefork.http.forwarded import Forwarding
from prefork.http.messages import Peer, Request
from prefork.logs.access import AccessLog
from prefork.logs.journal import Entries
from prefork.logs.log import STDERR
from prefork.worker.lines import Lines, Sent
from prefork.worker.loop import Loop

UNPRINTABLE: Final = re.compile(rb"[^\t\r\n -~]")
CLIENT_CLOSED: Final = 499  # nginx's, for what no status can be sent for


class Owed(Struct):
    """An answer on its way: `size` bytes with `body` ones at their end, of which `left` are still to be sent.

    It began at a moment of CLOCK_MONOTONIC. `valid` tells of a head that was not refused, `more` of an answer that goes
    on.
    """

    head: bytes
    valid: bool
    status: int
    body: int
    size: int
    left: int
    began: float
    more: bool = False


class Watch:
    """What all observers of a worker share."""

    def __init__(
        self,
        access_log: AccessLog | Entries | None,
        lines: Lines,
        forwarding: Forwarding,
        loop: Loop,
        *,
        show_heads: bool,
    ) -> None:
        self.access_log = access_log
        self.show_heads = show_heads
        self.lines = lines
        self.forwarding = forwarding
        self.loop = loop

    def tell(self, peer: Peer, owed: Owed) -> None:
        """Write the line of an answer, of which all has been sent, or no more will be."""
        assert self.access_log is not None
        known = self.lines.known(owed.head, valid=owed.valid)
        client = self.forwarding.client(peer, known.told).address
        left, complete = owed.left, not owed.left and not owed.more and owed.status != CLIENT_CLOSED
        sent = Sent(owed.status, max(0, owed.body - left), owed.size - left, monotonic() - owed.began, complete)
        self.access_log.add(self.lines.line(known.template, client, sent, time.time()))


class Observer:
    """Watches one connection. `began` is when its next request did, 0.0 where none of it has come."""

    __slots__ = ("_peer", "_watch", "began", "owed")

    def __init__(self, watch: Watch, peer: Peer) -> None:
        self._watch = watch
        self._peer = peer
        self.began = 0.0
        self.owed: deque[Owed] = deque()

    def begin(self) -> None:
        """Note that some of a request has come."""
        self.began = self.began or self._watch.loop.now

    def answered(self, head: bytes, request: Request | None, status: int, *, size: int, body: int, more: bool) -> None:
        """Note that so many bytes are to be sent in answer to a head, if no more; without a request it was refused."""
        if self._watch.show_heads:
            show(head)
        if self._watch.access_log is None:
            return
        began, self.began = self.began or self._watch.loop.now, 0.0
        self.owed.append(Owed(head, request is not None, status, body, size, size, began, more))

    def grew(self, *, size: int, body: int) -> None:
        """Note that so many more bytes are to be sent of the latest answer."""
        if self.owed:
            latest = self.owed[-1]
            latest.size += size
            latest.left += size
            latest.body += body

    def ended(self) -> None:
        """Note that no more is to be sent of the latest answer than was said."""
        if self.owed:
            self.owed[-1].more = False
            self.sent(0)

    def sent(self, count: int) -> None:
        """Note how many bytes the kernel has taken; of a 100 (Continue), which comes last, nobody is told."""
        owed = self.owed
        while owed:
            first = owed[0]
            taken = min(count, first.left)
            first.left -= taken
            count -= taken
            if first.left or first.more:
                return
            self._watch.tell(self._peer, owed.popleft())

    def leave(self) -> tuple[tuple[Owed, ...], float]:
        """Return what an observer of the same connection in another process goes on with: what is owed, and `began`."""
        return tuple(self.owed), self.began

    def resume(self, owed: tuple[Owed, ...], began: float) -> None:
        """Go on where another left."""
        if self._watch.access_log is not None:
            self.owed.extend(owed)
        self.began = began

    def closed(self, head: bytes, *, valid: bool) -> None:
        """Tell of what is owed yet, and of a request that is not answered, where there is one, by its head so far."""
        for each in self.owed:
            self._watch.tell(self._peer, each)
        self.owed.clear()
        if head and self._watch.access_log is not None:
            began = self.began or self._watch.loop.now
            self._watch.tell(self._peer, Owed(head, valid, CLIENT_CLOSED, 0, 0, 0, began))


def show(head: bytes) -> None:
    """Print a head under a rule; what could drive a terminal is made harmless."""
    text = UNPRINTABLE.sub(b"?", head).replace(b"\r\n", b"\n").rstrip(b"\n")
    with suppress(OSError):
        os.write(STDERR, b"-" * 40 + b"\n" + text + b"\n")
