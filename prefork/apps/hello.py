"""The hello: one answer to every request."""

from prefork.apps.instant import instant
from prefork.http.messages import Response
from prefork.http.service import Respond


def hello(*, body: str, content_type: str, status: int) -> Respond:
    """Return the application that gives this answer, whatever is asked."""
    response = Response(status, ((b"Content-Type", content_type.encode()),), body.encode())
    return instant(lambda _request, _peer, _content: response)
