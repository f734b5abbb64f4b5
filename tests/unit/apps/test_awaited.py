"""Content that comes when a thread reads of it, beside a loop that is turned by the test.

What holds for any of it: nobody is asked before something is read, and then once; whoever reads gets all of it, or
OSError.
"""

import os
import tempfile
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest

from prefork.apps.awaited import AwaitedContent, Input, LeftError
from prefork.apps.note import Note
from prefork.apps.pool import BUSY
from prefork.apps.wsgi import Gateway
from prefork.http.answers import WANTED, Pending, Whole
from prefork.http.content import Content
from prefork.http.forwarded import Forwarding
from prefork.http.messages import Peer, Request
from prefork.http.trust import NOBODY
from prefork.logs.log import Log
from tests.unit.apps.test_pool import HEAD, LIMIT, PEER, REQUEST, Build, Gate, Stage, gate, stage

__all__ = ["gate", "stage"]

CONTENT = b"one\ntwo\nthree"
LENGTH = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\nExpect: 100-continue\r\n\r\n"
CHUNKED = LENGTH.replace(b"Content-Length: 13", b"Transfer-Encoding: chunked")

Read = Callable[[Input], object]


class Asking:
    """A pool whose threads read of the content of a request, in the way of the test."""

    def __init__(self, build: Build, read: Read, *, in_memory: int = 100) -> None:
        self.threads = build(self._call, 1)
        self.content = AwaitedContent(in_memory, self.threads.pool.post)
        self._read = read
        self.asked = 0
        self.found: list[object] = []
        self.pending = self.threads.ask(self.content)
        self.content.on_wanted = self._on_wanted

    def _call(self, _request: Request, _peer: Peer, content: Content | None) -> Whole:
        assert isinstance(content, AwaitedContent)
        environ: dict[str, Any] = {}
        content.tell(environ)
        try:
            self.found.append(self._read(environ["wsgi.input"]))
        except OSError as error:
            self.found.append(error)
        content.close()
        return Whole(HEAD)

    def _on_wanted(self) -> None:
        self.asked += 1

    def give(self, content: bytes = CONTENT) -> None:
        """Wait until it is asked for, and give it."""
        self.threads.turn_until(lambda: self.asked)
        for at in range(len(content)):
            self.content.write(content[at : at + 1])
        self.content.give()

    def result(self) -> object:
        self.threads.turn_until(lambda: self.pending.is_done and not self.threads.pool.is_busy)
        [found] = self.found
        return found


def positioned(file: Input) -> list[object]:
    from_the_beginning = [file.seek(4), file.tell(), file.readline(), file.read1(2)]
    return [*from_the_beginning, file.seek(-2, os.SEEK_END), file.read(), file.seek(8), file.read1()]


def filled(file: Input) -> bytes:
    room = bytearray(20)
    return bytes(room[: file.readinto(room)])


@pytest.mark.parametrize("in_memory", [100, 3])
@pytest.mark.parametrize(
    ("read", "found"),
    [
        (lambda file: file.read(), CONTENT),
        (lambda file: file.read(None), CONTENT),
        (lambda file: [file.read(2), file.read(3), file.read(-1), file.read(1)], [b"on", b"e\nt", b"wo\nthree", b""]),
        (lambda file: [file.readline(), file.readline(2), file.readline(None)], [b"one\n", b"tw", b"o\n"]),
        (lambda file: file.readlines(), [b"one\n", b"two\n", b"three"]),
        (lambda file: file.readlines(None), [b"one\n", b"two\n", b"three"]),
        (lambda file: file.readlines(2), [b"one\n"]),
        (list, [b"one\n", b"two\n", b"three"]),
        (lambda file: [next(file), next(file)], [b"one\n", b"two\n"]),
        (positioned, [4, 4, b"two\n", b"th", 11, b"ee", 8, b"three"]),
        (filled, CONTENT),
        (lambda file: BufferedReader(file).readlines(), [b"one\n", b"two\n", b"three"]),
    ],
)
def test_whoever_reads_waits_and_gets_what_has_come(stage: Build, read: Read, found: object, in_memory: int) -> None:
    asking = Asking(stage, read, in_memory=in_memory)
    asking.give()
    assert (asking.result(), asking.asked) == (found, 1)
    assert asking.content.file.closed


def test_what_only_looks_at_it_asks_for_nothing(stage: Build) -> None:
    asking = Asking(stage, lambda file: [file.readable(), file.seekable(), file.closed])
    assert (asking.result(), asking.asked) == ([True, True, False], 0)
    assert asking.content.file.closed


@pytest.mark.parametrize(("end", "error"), [(AwaitedContent.close, LeftError), (AwaitedContent.withhold, OSError)])
def test_whoever_waits_for_what_does_not_come_fails_and_knows_whether_the_client_has_left(
    stage: Build, end: Callable[[AwaitedContent], None], error: type[OSError]
) -> None:
    def read_twice(file: Input) -> object:
        with pytest.raises(OSError, match="was not received"):
            file.read()
        return file.readline()

    asking = Asking(stage, read_twice)
    asking.threads.turn_until(lambda: asking.asked)
    asking.content.write(b"half")
    end(asking.content)
    assert type(asking.result()) is error
    assert asking.asked == 1


@pytest.mark.parametrize("end", [AwaitedContent.close, AwaitedContent.withhold])
def test_after_its_end_nobody_is_asked(stage: Build, gate: Gate, end: Callable[[AwaitedContent], None]) -> None:
    asking = Asking(stage, lambda file: [gate(REQUEST, PEER, None), file.read()])
    gate.entered.get(timeout=LIMIT)
    end(asking.content)
    gate.open()
    assert isinstance(asking.result(), OSError)
    assert asking.asked == 0


def test_what_comes_after_its_end_is_dropped(stage: Build) -> None:
    asking = Asking(stage, lambda _file: None)
    asking.result()
    asking.content.write(CONTENT)
    assert asking.content.file.closed


def test_it_stays_in_this_process_and_leaves_no_file_behind(
    stage: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asking = Asking(stage, lambda file: file.read(1), in_memory=3)
    assert asking.content.kept() is None
    asking.give()
    assert asking.result() == b"o"
    assert list(tmp_path.iterdir()) == []


def test_where_it_finds_no_thread_it_is_closed(stage: Build, gate: Gate) -> None:
    threads = stage(gate, 1, 1)
    content = [AwaitedContent(100, threads.pool.post) for _ in range(2)]
    asked = [threads.ask(), threads.ask(content[0])]
    assert threads.pool.respond(REQUEST, PEER, content[1]) is BUSY
    asked[1].abandon()
    threads.turn_until(lambda: all(each.file.closed for each in content))
    gate.open()
    threads.turn_until(lambda: asked[0].is_done)


# As the application sees it


@pytest.fixture
def gateway_stage(stage: Build) -> tuple[Stage, list[dict[str, Any]]]:
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        seen.append(dict(environ))
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    return stage(Gateway(application, Forwarding(NOBODY), Log("worker-0", "info"), Note()).respond, 1), seen


@pytest.mark.parametrize(("head", "length"), [(LENGTH, "13"), (CHUNKED, None)])
def test_the_environ_has_the_length_that_the_head_told(
    gateway_stage: tuple[Stage, list[dict[str, Any]]], head: bytes, length: str | None
) -> None:
    threads, seen = gateway_stage
    content = AwaitedContent(100, threads.pool.post)
    pending = threads.pool.respond(Request(b"POST", b"/", 1, head), PEER, content)
    assert isinstance(pending, Pending)
    content.on_wanted = lambda: pending.finish(WANTED)
    threads.turn_until(lambda: pending.is_done)
    assert pending.result is WANTED
    pending.go_on()
    content.write(CONTENT)
    content.give()
    answer = threads.answer(pending)
    assert isinstance(answer, Whole)
    assert (answer.body, seen[0].get("CONTENT_LENGTH"), seen[0]["wsgi.input_terminated"]) == (CONTENT, length, True)
    threads.turn_until(lambda: content.file.closed)
