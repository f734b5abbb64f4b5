"""Tells what request an application is at work on, and that it works: the master finds out who hangs, and on what."""

import math
from time import monotonic
from typing import Final

from prefork.http.messages import Request
from prefork.ipc.scoreboard import HEARTBEAT, Row

INTERVAL: Final = 0.05  # seconds between two heartbeats


class Note:
    """The request that was given to the application at last, in the worker's row; where there is none, nobody asks.

    The note stays: who reads it does so because the worker hangs. Whoever gives work to the application `tell`s of it
    when it is not the `latest`, or the next heartbeat is `due`, in seconds of CLOCK_MONOTONIC. A turn of the loop may
    consist of many requests, and none of them hangs though all together take long.
    """

    __slots__ = ("_row", "due", "latest")

    def __init__(self, row: Row | None = None) -> None:
        self._row = row
        self.due = math.inf if row is None else 0.0
        self.latest: Request | None = None

    def tell(self, request: Request) -> None:
        """Note this request, and that there is life."""
        if self._row is None:
            return
        if request is not self.latest:
            self.latest = request
            self._row.note(request.head)
        now = monotonic()
        if now > self.due:
            self.due = now + INTERVAL
            self._row[HEARTBEAT] = int(now * 1e9)
