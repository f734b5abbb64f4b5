"""Long answers of a WSGI application (PEP 3333): 1 MiB that it has in memory, and 64 MiB that are in a file."""

import os
from collections.abc import Callable, Iterable
from tempfile import mkstemp
from typing import Any

MIB = 1024 * 1024
SMALL, LARGE = b"Hello, world!", bytes(MIB)
FILE, NAME = mkstemp(prefix="prefork-bench-")
os.truncate(FILE, 64 * MIB)
os.unlink(NAME)
PATH = f"/proc/self/fd/{FILE}"  # opened anew for each answer, and gone with the process


def fields(length: int) -> list[tuple[str, str]]:
    return [("Content-Type", "text/plain"), ("Content-Length", str(length))]


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Answer by the path."""
    if environ["PATH_INFO"] == "/64m":
        start_response("200 OK", fields(64 * MIB))
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](open(PATH, "rb"))  # noqa: SIM115 - the server closes it
        return wrapped
    body = LARGE if environ["PATH_INFO"] == "/1m" else SMALL
    start_response("200 OK", fields(len(body)))
    return [body]
