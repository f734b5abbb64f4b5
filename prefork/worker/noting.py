"""Notes the request that is being answered where the master can read it, though the worker hangs."""

from prefork.apps.instant import is_instant
from prefork.http.messages import Request, Response
from prefork.http.protocol import Respond
from prefork.ipc.scoreboard import Row


def noting(respond: Respond, row: Row) -> Respond:
    """Return the application with each request noted in the row while it is answered; an instant one as it is."""
    if is_instant(respond):
        return respond

    def note_and_respond(request: Request) -> Response:
        row.note(b"%b %b" % (request.method, request.target))
        try:
            return respond(request)
        finally:
            row.note(b"")

    return note_and_respond
