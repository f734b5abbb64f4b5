"""The hello: one answer to every request."""

from collections.abc import Callable

from prefork.http.messages import Request, Response


def hello(*, body: str, content_type: str, status: int) -> Callable[[Request], Response]:
    """Return the application that gives this answer, whatever is asked."""
    response = Response(status, ((b"Content-Type", content_type.encode()),), body.encode())
    return lambda _request: response
