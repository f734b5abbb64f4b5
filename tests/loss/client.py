"""One client: asks again and again in the way of its kind, and counts what becomes of it."""

import asyncio
import random
import time
from typing import Final, Protocol

from tests.loss.kinds import Kind
from tests.loss.tally import CUT, Outcome, Tally
from tests.loss.wire import Address, Answer, EndedError, MalformedError, Wire, connect

STATUS: Final = 200
BODY: Final = b"Hello, world!"
LOOK_SECONDS: Final = 0.5  # how often a client that rests looks whether its connection is still there
PAUSE_SECONDS: Final = 0.01  # before it connects again


class Season(Protocol):
    """What holds for all clients: whether they go on, and whether the server has been told to stop.

    `doomed` are the names of connections that were held by workers that were killed.
    """

    running: bool
    stopping: bool
    doomed: set[str]


class OverError(Exception):
    """The connection is of no more use; why has been counted."""


class Client:
    """A client; `answered` says that it ever got an answer, `round` how many requests it sends at a time."""

    def __init__(self, kind: Kind, address: Address, season: Season, tally: Tally) -> None:
        self.answered = False
        self.round = len(kind.methods)
        self._kind = kind
        self._address = address
        self._season = season
        self._tally = tally
        self._wire: Wire | None = None
        self._begun_in_time = True

    @property
    def name(self) -> str:
        """The name of its connection, if it has one."""
        return self._wire.name if self._wire else ""

    async def run(self) -> None:
        """Ask as long as the season lasts, and a last time on the connection that is left; never without a server."""
        try:
            while self._season.running or self._wire is not None:
                last = not self._season.running
                await self._turn()
                if last or (self._season.stopping and self._wire is None):
                    return
                if self._wire is None:
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._close()

    async def _turn(self) -> None:
        """Ask once, and rest."""
        try:
            await self._ask(self._wire or await self._connect())
            await self._rest()
        except OverError:
            self._close()

    async def _connect(self) -> Wire:
        kind = self._kind
        try:
            sock = await connect(self._address, small_buffers=kind.read_pause > 0)
        except OSError as error:
            raise self._trouble(Outcome.REFUSED, repr(error)) from error
        self._wire = Wire(sock, read_size=kind.read_size, read_pause=kind.read_pause)
        return self._wire

    async def _ask(self, wire: Wire) -> None:
        """Send all pieces, and read the answer to each request."""
        if wire.has_ended:
            raise self._trouble(Outcome.CLOSED_IDLE, "before a request")
        self._begun_in_time = not self._season.stopping
        try:
            await self._send(wire)
            for method in self._kind.methods:
                to_head = method == "HEAD"
                self._judge(await wire.answer(to_head=to_head), b"" if to_head else BODY)
        except EndedError as ended:
            raise self._ended(ended) from ended
        except MalformedError as malformed:
            raise self._trouble(Outcome.WRONG, str(malformed)) from malformed
        if wire.unread:
            raise self._trouble(Outcome.WRONG, f"more than the answers: {wire.unread[:80]!r}")
        if not self._kind.stays:
            self._close()

    async def _send(self, wire: Wire) -> None:
        first, *others = self._kind.pieces
        await wire.send(first)  # in the same turn of the loop in which the connection was seen to be open
        for piece in others:
            await asyncio.sleep(self._kind.pause)
            await wire.send(piece)

    async def _rest(self) -> None:
        """Wait before the next request, and see whether the connection lasts."""
        until = time.monotonic() + random.random() * self._kind.rest
        while self._season.running and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))
            if self._wire is not None and self._wire.has_ended:
                raise self._trouble(Outcome.CLOSED_IDLE, "while it rested")

    def _judge(self, answer: Answer, body: bytes) -> None:
        """Count an answer; RFC 9112 §9.6: after one that announces the end, what was sent besides is not answered."""
        if (answer.status, answer.body) != (STATUS, body):
            raise MalformedError(f"{answer.status} {answer.body[:80]!r}")
        self.answered = True
        self._tally.count(Outcome.OK)
        if answer.is_last and self._kind.stays:
            raise self._trouble(Outcome.ANNOUNCED, "Connection: close")

    def _ended(self, ended: EndedError) -> OverError:
        """Count what is owed: as one, else the pipelined requests that end together would outweigh all others."""
        if ended.begun:
            return self._trouble(Outcome.TRUNCATED, str(ended))
        return self._trouble(Outcome.LOST if self._begun_in_time else Outcome.REFUSED, str(ended))

    def _trouble(self, outcome: Outcome, seen: str) -> OverError:
        if outcome in CUT and self.name in self._season.doomed:
            outcome = Outcome.HELD
        self._tally.count(outcome)
        where = "unix" if isinstance(self._address, str) else "tcp"
        self._tally.note(outcome, f"{time.strftime('%H:%M:%S')} {self._kind.name} ({where}): {outcome.value}: {seen}")
        return OverError()

    def _close(self) -> None:
        if self._wire is not None:
            self._season.doomed.discard(self._wire.name)  # before the kernel gives another connection the same
            self._wire.close()
            self._wire = None
