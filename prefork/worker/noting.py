"""Tells of the request that an application is at work on, and that it works: the master finds out who hangs, and on what."""

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final, TypeAlias

from prefork.apps.instant import is_instant
from prefork.http.answers import Answer, Pending, Stream
from prefork.http.content import Content
from prefork.http.messages import Peer, Request
from prefork.http.service import Respond
from prefork.ipc.scoreboard import HEARTBEAT, Row

Pull: TypeAlias = Callable[[], bytes | Pending | None]

INTERVAL: Final = 0.05  # seconds between two heartbeats


class Note:
    """What the row says of the request that is being answered, the `latest`; its heart is `due` to beat from then on."""

    __slots__ = ("_row", "due", "latest")

    def __init__(self, row: Row) -> None:
        self._row = row
        self.due = 0.0
        self.latest: Request | None = None

    def write(self, request: Request) -> None:
        """Note another request."""
        self.latest = request
        self._row.note(request.asked)

    def beat(self, now: float) -> None:
        """Tell that the application works."""
        self.due = now + INTERVAL
        self._row[HEARTBEAT] = int(now * 1e9)


def noting(respond: Respond, row: Row) -> Respond:
    """Return the application with each request noted in the row before it is answered, or goes on to be; an instant one as it is.

    The note stays: who reads it does so because the worker hangs. After each answer the heart beats, if it is time: a turn
    of the loop may consist of many requests, and none of them hangs though all together take long.
    """
    if is_instant(respond):
        return respond
    note = Note(row)

    def note_and_respond(request: Request, peer: Peer, content: Content | None) -> Answer:
        if request is not note.latest:  # a note costs 0.3 µs
            note.write(request)
        answer = respond(request, peer, content)
        if (now := monotonic()) > note.due:
            note.beat(now)
        if answer.__class__ is Stream:
            answer.pull = partial(note_and_pull, request, answer.pull)
        return answer

    def note_and_pull(request: Request, pull: Pull) -> bytes | Pending | None:
        if request is not note.latest:
            note.write(request)
        piece = pull()
        if (now := monotonic()) > note.due:
            note.beat(now)
        return piece

    return note_and_respond
