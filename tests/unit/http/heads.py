"""Heads, and what is said about them."""

from collections.abc import Callable

from prefork.http.messages import Rejection, Request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def told(request: Request) -> dict[str, object]:
    """Return all that a request says, comparable."""
    names = "method", "target", "minor", "fields", "framing", "body_length", "expects_continue"
    return {name: getattr(request, name) for name in names}


def outcome(parse: Callable[[bytes], Request], head: bytes) -> object:
    """Return all that is said about a head, comparable."""
    try:
        return told(parse(head))
    except Rejection as rejection:
        return rejection.status, rejection.reason
