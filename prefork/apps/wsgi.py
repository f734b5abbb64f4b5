"""Calls a WSGI application (PEP 3333) with a request that has no body, and returns its whole answer at once."""

import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from prefork.http.content import Content
from prefork.http.messages import RESERVED, Peer, Request, Response
from prefork.http.service import Respond

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]  # Any: as the PEP has them


def wsgi(application: Wsgi) -> Respond:
    """Return what answers requests by this application."""

    def respond(request: Request, _peer: Peer, _content: Content | None) -> Response:
        heads: list[tuple[int, tuple[tuple[bytes, bytes], ...]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
            fields = ((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
            heads[:] = [(int(status[:3]), tuple(each for each in fields if each[0].lower() not in RESERVED))]

        body = b"".join(application(environ(request), start_response))
        return Response(*heads[0], body)

    return respond


def environ(request: Request) -> dict[str, Any]:
    """Return a request as the PEP has it, as far as it goes."""
    path, _, query = request.target.decode("latin-1").partition("?")
    return {
        "REQUEST_METHOD": request.method.decode(), "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query,
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": f"HTTP/1.{request.minor}",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": BytesIO(), "wsgi.errors": sys.stderr,
        "wsgi.multithread": False, "wsgi.multiprocess": True, "wsgi.run_once": False,
    }  # fmt: skip
