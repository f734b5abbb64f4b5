"""Tells of the request that an application is at work on, and that it works: the master finds out who hangs, and on what."""

from time import monotonic
from typing import Final

from prefork.apps.instant import is_instant
from prefork.http.answers import Answer
from prefork.http.content import Content
from prefork.http.messages import Peer, Request
from prefork.http.service import Respond
from prefork.ipc.scoreboard import HEARTBEAT, Row

INTERVAL: Final = 0.05  # seconds between two heartbeats


def noting(respond: Respond, row: Row) -> Respond:
    """Return the application with each request noted in the row before it is answered; an instant one as it is.

    The note stays: who reads it does so because the worker hangs. After each answer the heart beats, if it is time: a turn
    of the loop may consist of many requests, and none of them hangs though all together take long.
    """
    if is_instant(respond):
        return respond
    latest: Request | None = None
    due = 0.0

    def note_and_respond(request: Request, peer: Peer, content: Content | None) -> Answer:
        nonlocal latest, due
        if request is not latest:  # a note costs 0.3 µs
            latest = request
            row.note(b"%b %b" % (request.method, request.target))
        answer = respond(request, peer, content)
        now = monotonic()
        if now > due:
            due = now + INTERVAL
            row[HEARTBEAT] = int(now * 1e9)
        return answer

    return note_and_respond
