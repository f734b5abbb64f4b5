"""An application with about 60 MB of Python objects, there from its import on; a request reads some of them."""

import gc
import os
import random
from collections.abc import Callable, Iterable

OBJECTS = [{"number": str(number), "list": [number]} for number in range(120_000)]
POPULAR = len(OBJECTS) // 10  # the first of them are all that is ever asked for
BODY = b"Hello, world!"


def app(environ: dict[str, str], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Read ten objects; for /collect, collect what is garbage, and tell which process that was."""
    for _ in range(10):
        assert OBJECTS[random.randrange(POPULAR)]["list"]
    body = BODY
    if environ["PATH_INFO"] == "/collect":
        gc.collect()
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
