"""The application of the process tests: each path does one thing that a WSGI application may do (PEP 3333).

`checked` is the same under wsgiref's validator, which asserts that server and application keep to the PEP.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

Environ = dict[str, Any]
Begin = Callable[..., Any]

TEXT = ("Content-Type", "text/plain")
SECOND = b"x" * 1000


class Noted:
    """An iterable that leaves a file behind when it is closed, so that a test sees it."""

    def __init__(self, name: str, pieces: Iterable[bytes]) -> None:
        self._name = name
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        with Path("closed").open("a") as file:
            file.write(f"{self._name}\n")


def note(text: str) -> None:
    with Path("noted").open("a") as file:
        file.write(f"{text}\n")


def environ_(environ: Environ, begin: Begin) -> Iterable[bytes]:
    lines = [f"{key}={value!r}" for key, value in sorted(environ.items()) if isinstance(value, str | bool | tuple)]
    begin("200 OK", [TEXT])
    return ["\n".join(lines).encode()]


def hello(environ: Environ, begin: Begin) -> Iterable[bytes]:
    body = f"{os.getpid()}".encode()
    begin("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def echo(environ: Environ, begin: Begin) -> Iterable[bytes]:
    content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    begin("200 OK", [TEXT])
    return [content]


def count(environ: Environ, begin: Begin) -> Iterable[bytes]:
    """Tell how long the content is, how it was kept, and what is in it as a sum."""
    file, size, total = environ["wsgi.input"], 0, 0
    kept = type(file).__name__
    while piece := file.read(1 << 16):
        size += len(piece)
        total += sum(piece[::4096])
    begin("200 OK", [TEXT])
    return [f"{size} {total} {kept}".encode()]


def lines(environ: Environ, begin: Begin) -> Iterable[bytes]:
    file = environ["wsgi.input"]
    first, rest, after = file.readline(), list(file), file.read(1)
    begin("200 OK", [TEXT])
    return [first, *rest, after]


def pieces(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT])
    return Noted("pieces", [b"one", b"", b"two"])


def sized(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT, ("Content-Length", "6")])
    return Noted("sized", [b"one", b"two"])


def empty(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT])
    return Noted("empty", [])


def status(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin(f"{environ['QUERY_STRING']} Said", [("ETag", '"a"')])
    return []


def written(environ: Environ, begin: Begin) -> Iterable[bytes]:
    write = begin("200 OK", [TEXT])
    write(b"written, ")
    write(b"again, ")
    return Noted("written", [b"returned"])


def replaced(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT])
    try:
        environ["before any output"]
    except KeyError as error:
        begin("500 Sorry", [TEXT], (type(error), error, error.__traceback__))
    return [b"sorry"]


def fails(environ: Environ, begin: Begin) -> Iterable[bytes]:
    raise KeyError("before the head")


def fails_first(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT])
    return Noted("fails_first", raising())


def fails_later(environ: Environ, begin: Begin) -> Iterable[bytes]:
    length = [("Content-Length", environ["QUERY_STRING"])] if environ["QUERY_STRING"] else []
    begin("200 OK", [TEXT, *length])
    return Noted("fails_later", raising(b"x" * 10))


def raising(*before: bytes) -> Iterator[bytes]:
    yield from before
    raise KeyError("too late")


def late_head(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT])
    return Noted("late_head", with_a_late_head(begin))


def with_a_late_head(begin: Begin) -> Iterator[bytes]:
    yield b"one"
    try:
        dict[str, str]()["after output"]
    except KeyError as error:
        begin("500 Sorry", [TEXT], (type(error), error, error.__traceback__))
    yield b"sorry"


def too_much(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT, ("Content-Length", "5")])
    return Noted("too_much", [b"one", b"two"])


def too_little(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT, ("Content-Length", "7")])
    return Noted("too_little", [b"one", b"two"])


def injecting(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT, ("Location", "/\r\nSet-Cookie: evil=1")])
    return [b"Hello"]


def hop_by_hop(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT, ("Connection", "close")])
    return [b"Hello"]


def errors(environ: Environ, begin: Begin) -> Iterable[bytes]:
    stream = environ["wsgi.errors"]
    print("printed", file=stream)
    stream.write("half, ")
    stream.writelines(["and the other half\n"])
    stream.flush()
    begin("200 OK", [TEXT])
    return [b"Hello"]


def file(environ: Environ, begin: Begin) -> Iterable[bytes]:
    """Send the file of the name in the query, from the byte that it says."""
    name, _, offset = environ["QUERY_STRING"].partition("&")
    opened = Path(name).open("rb")  # noqa: SIM115 - closed by the wrapper
    opened.seek(int(offset or 0))
    begin("200 OK", [TEXT])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened, 8192)
    return wrapped


def large(environ: Environ, begin: Begin) -> Iterable[bytes]:
    """Make as many kilobytes as the query says."""
    begin("200 OK", [TEXT])
    return Noted("large", making(int(environ["QUERY_STRING"])))


def making(kilobytes: int) -> Iterator[bytes]:
    for number in range(kilobytes):
        note(f"made {number}") if number % 1000 == 0 else None
        yield SECOND


def waits(environ: Environ, begin: Begin) -> Iterable[bytes]:
    """Answer when the file of the name in the query is there."""
    note(f"begun {environ['QUERY_STRING']}")
    wait_for(environ["QUERY_STRING"])
    begin("200 OK", [TEXT])
    return Noted("waits", [b"waited"])


def trickles(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT])
    return Noted("trickles", in_two(environ["QUERY_STRING"]))


def in_two(name: str) -> Iterator[bytes]:
    yield b"one"
    note("one")
    wait_for(name)
    yield b"two"


def wait_for(name: str) -> None:
    while not Path(name).exists():
        time.sleep(0.005)


def refused(environ: Environ, begin: Begin) -> Iterable[bytes]:
    """Answer without reading."""
    begin("403 Forbidden", [TEXT])
    return Noted("refused", [b"refused"])


def attempt(environ: Environ, begin: Begin) -> Iterable[bytes]:
    """Note how reading ends."""
    note("begun reading")
    try:
        note(f"read {len(environ['wsgi.input'].read())}")
    except OSError as error:
        note(f"OSError {error}")
    begin("200 OK", [TEXT])
    return Noted("attempt", [b"attempted"])


def reads_late(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT])
    return Noted("reads_late", (each or environ["wsgi.input"].read() for each in (b"one", b"")))


class SlowlyClosed(Noted):
    """An iterable that takes its time to be closed."""

    def close(self) -> None:
        time.sleep(0.1)
        super().close()


def closes_slowly(environ: Environ, begin: Begin) -> Iterable[bytes]:
    begin("200 OK", [TEXT])
    return SlowlyClosed("closes_slowly", making(10_000))


PATHS: dict[str, Callable[[Environ, Begin], Iterable[bytes]]] = {
    "/" + each.__name__.strip("_"): each
    for each in (
        environ_, hello, echo, count, lines, pieces, sized, empty, status, written, replaced, fails, fails_first,
        fails_later, late_head, too_much, too_little, injecting, hop_by_hop, errors, file, large, waits, trickles,
        refused, attempt, reads_late, closes_slowly,
    )
}  # fmt: skip
PATHS["/"] = hello


def answer(environ: Environ, begin: Begin) -> Iterable[bytes]:
    return PATHS.get(environ["PATH_INFO"], environ_)(environ, begin)


checked = validator(answer)
