"""The answer of prefork-hello as the smallest WSGI application (PEP 3333), for the servers that need one."""

from collections.abc import Callable, Iterable

BODY = b"Hello, world!"
FIELDS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def app(environ: dict[str, object], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Answer every request with 200 and the same 13 bytes."""
    start_response("200 OK", FIELDS)
    return [BODY]
