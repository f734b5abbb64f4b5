"""An application is called, and what it does becomes an answer, or what is answered in its place."""

import math
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from prefork.apps.content import KeptContent
from prefork.apps.failing import FAILED
from prefork.apps.note import Note
from prefork.apps.wsgi import Gateway, Wsgi
from prefork.http.answers import Stream, Truncated, Whole
from prefork.http.forwarded import Forwarding
from prefork.http.messages import Peer, Request
from prefork.ipc.scoreboard import HEARTBEAT, Scoreboard
from prefork.logs.log import Log

PEER = Peer(b"127.0.0.1")
GET = Request(b"GET", b"/path", 1, b"GET /path HTTP/1.1\r\nHost: a\r\n\r\n")
HEAD = Request(b"HEAD", b"/path", 1, b"HEAD /path HTTP/1.1\r\nHost: a\r\n\r\n")

Stderr = pytest.CaptureFixture[str]
Environ = dict[str, Any]
Begin = Callable[..., Any]


@pytest.fixture(autouse=True)
def _to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)


def ask(application: Wsgi, request: Request = GET, content: KeptContent | None = None) -> Whole | Stream:
    return Gateway(application, Forwarding(lambda _address: False), Log("worker-0", "info"), Note()).respond(
        request, PEER, content
    )


def answering(result: Iterable[bytes], *headers: tuple[str, str], status: str = "200 OK") -> Wsgi:
    """Return an application that answers with this."""

    def application(_environ: Environ, start_response: Begin) -> Iterable[bytes]:
        start_response(status, list(headers))
        return result

    return application


class Result:
    """An iterable that raises at its end, if it is to, and counts how often it is closed."""

    def __init__(self, *pieces: bytes, then: BaseException | None = None, closing: BaseException | None = None) -> None:
        self.closed = 0
        self._pieces = pieces
        self._then = then
        self._closing = closing

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._then is not None:
            raise self._then

    def close(self) -> None:
        self.closed += 1
        if self._closing is not None:
            raise self._closing


def content_of(answer: Whole | Stream) -> bytes:
    """Return all of an answer's content; close it as whoever sends it does."""
    if isinstance(answer, Whole):
        return answer.body
    content = b""
    try:
        while piece := answer.pull():
            assert isinstance(piece, bytes)
            content += piece
    finally:
        answer.close()
    return content


# What is answered


def test_what_the_application_is_called_for_is_noted_each_time_and_that_it_lives_where_that_is_due() -> None:
    scoreboard = Scoreboard()
    row = scoreboard.take()
    noted: list[tuple[str, bool]] = []

    def application(_environ: Environ, start_response: Begin) -> list[bytes]:
        noted.append((row.noted, row[HEARTBEAT] > 0))
        start_response("200 OK", [])
        return []

    note = Note(row)
    respond = Gateway(application, Forwarding(lambda _address: False), Log("worker-0", "info"), note).respond
    other = Request(b"GET", b"/other", 1, b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
    for request, due in ((GET, 0.0), (GET, math.inf), (GET, 0.0), (other, math.inf)):
        row[HEARTBEAT], note.due = 0, due
        respond(request, PEER, None)
    told = f"GET {GET.target.decode()}"
    assert noted == [(told, True), (told, False), (told, True), ("GET /other", False)]
    scoreboard.close()


def test_the_environ_has_what_the_pep_asks_for() -> None:
    seen: list[Environ] = []

    def application(environ: Environ, start_response: Begin) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    ask(application)
    [environ] = seen
    assert type(environ) is dict
    assert environ["wsgi.version"] == (1, 0)
    assert (environ["SCRIPT_NAME"], environ["wsgi.url_scheme"]) == ("", "http")
    assert {"write", "writelines", "flush"} <= set(dir(environ["wsgi.errors"]))
    assert environ["wsgi.input"].read() == b""
    flags = ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once", "wsgi.input_terminated")
    assert [environ[flag] for flag in flags] == [False, True, False, True]
    assert environ["SERVER_SOFTWARE"].startswith("prefork/")


@pytest.mark.parametrize("result", [[], [b""], [b"Hello"], [b"He", b"llo"], (b"Hello",), (b"He", b"", b"llo")])
def test_what_is_a_list_is_answered_whole(result: Iterable[bytes]) -> None:
    answer = ask(answering(result, ("X", "1")))
    assert isinstance(answer, Whole)
    assert answer.head.block == b"HTTP/1.1 200 OK\r\nX: 1\r\n"
    assert answer.body == b"".join(result)


@pytest.mark.parametrize("result", [[b"Hello"], [b"He", b"llo"]])
def test_its_length_may_be_said_by_the_application(result: Iterable[bytes]) -> None:
    answer = ask(answering(result, ("Content-Length", "5")))
    assert isinstance(answer, Whole)
    assert (answer.head.length, answer.body) == (5, b"Hello")


class Bytes(bytes):
    """Bytes of an application's own kind."""


def test_bytes_may_be_of_a_kind_of_their_own() -> None:
    assert content_of(ask(answering([Bytes(b"Hello")]))) == b"Hello"


@pytest.mark.parametrize("pieces", [[b"He", b"llo"], [b"", b"Hello", b""]])
@pytest.mark.parametrize("headers", [[], [("Content-Length", "5")]])
def test_other_iterables_are_given_piece_by_piece(
    pieces: list[bytes], headers: list[tuple[str, str]], capfd: Stderr
) -> None:
    result = Result(*pieces)
    answer = ask(answering(result, *headers))
    assert isinstance(answer, Stream)
    assert (content_of(answer), result.closed) == (b"Hello", 1)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("pieces", [[], [b"", b""]])
def test_an_iterable_of_nothing_is_answered_whole_and_closed(pieces: list[bytes]) -> None:
    result = Result(*pieces)
    answer = ask(answering(result))
    assert isinstance(answer, Whole)
    assert (answer.body, result.closed) == (b"", 1)


def test_an_application_may_say_the_head_with_its_first_piece_only() -> None:
    def application(_environ: Environ, start_response: Begin) -> Iterator[bytes]:
        yield b""
        start_response("404 Not Found", [])
        yield b"Hello"

    answer = ask(application)
    assert (answer.head.status, content_of(answer)) == (404, b"Hello")


@pytest.mark.parametrize("result", [[b"llo"], Result(b"llo")])
def test_what_is_written_comes_first(result: Iterable[bytes]) -> None:
    def application(_environ: Environ, start_response: Begin) -> Iterable[bytes]:
        start_response("200 OK", [])(b"He")
        return result

    assert content_of(ask(application)) == b"Hello"


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
def test_an_answer_that_has_no_content_may_be_given_some(status: str) -> None:
    answer = ask(answering([b"Hello"], ("Content-Length", "5"), status=status))
    assert isinstance(answer, Whole)
    assert (answer.head.length, answer.body) == (None, b"")


# Files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"0123456789")
    return tmp_path / "file"


def sending(file: object, *headers: tuple[str, str], status: str = "200 OK") -> Wsgi:
    def application(environ: Environ, start_response: Begin) -> Iterable[bytes]:
        start_response(status, list(headers))
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    return application


@pytest.mark.parametrize(("headers", "left"), [([], 8), ([("Content-Length", "3")], 3)])
def test_a_file_is_answered_as_such_with_its_length_and_closed(
    path: Path, headers: list[tuple[str, str]], left: int
) -> None:
    file = path.open("rb")
    file.seek(2)
    answer = ask(sending(file, *headers))
    assert isinstance(answer, Stream)
    assert answer.file is not None
    assert (answer.file.offset, answer.file.left, answer.head.length) == (2, left, left)
    assert answer.head.block.endswith(b"Content-Length: %d\r\n" % left)
    assert answer.pull() is None
    answer.close()
    assert file.closed


def test_what_keeps_a_file_from_being_sent_is_logged(path: Path, capfd: Stderr) -> None:
    answer = ask(sending(path.open("rb")))
    assert isinstance(answer, Stream)
    assert answer.file is not None
    answer.file.problem = "Input/output error"
    answer.close()
    assert 'file can\'t be sent request="GET /path" reason="Input/output error"' in capfd.readouterr().err


def test_a_file_that_is_shorter_than_content_length_is_not_begun(path: Path, capfd: Stderr) -> None:
    file = path.open("rb")
    assert ask(sending(file, ("Content-Length", "11"))) is FAILED
    assert file.closed
    assert "Content-Length says 11 bytes, and the file has 10" in capfd.readouterr().err


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
def test_an_answer_that_has_no_content_says_no_length_of_a_file(path: Path, status: str) -> None:
    file = path.open("rb")
    answer = ask(sending(file, status=status))
    assert (answer.head.length, b"Content-Length" in answer.head.block) == (None, False)
    assert isinstance(answer, Stream)
    answer.close()
    assert file.closed


def test_what_is_like_a_file_is_read() -> None:
    file = BytesIO(b"0123456789")
    assert content_of(ask(sending(file))) == b"0123456789"
    assert file.closed


def test_a_file_comes_after_what_is_written(path: Path) -> None:
    def application(environ: Environ, start_response: Begin) -> Iterable[bytes]:
        start_response("200 OK", [])(b"written, ")
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    answer = ask(application)
    assert isinstance(answer, Stream)
    assert answer.file is None
    assert content_of(answer) == b"written, 0123456789"


def test_a_file_without_a_head_is_a_failure(path: Path) -> None:
    file = path.open("rb")

    def application(environ: Environ, _start_response: Begin) -> Iterable[bytes]:
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    assert ask(application) is FAILED
    assert file.closed


# Failures


def raising(error: BaseException) -> Wsgi:
    def application(_environ: Environ, _start_response: Begin) -> Iterable[bytes]:
        raise error

    return application


class Silent(Exception):  # noqa: N818 - a test's
    """An exception of which nothing can be said."""

    def __str__(self) -> str:
        raise ValueError


def says(status: object, *headers: object) -> Wsgi:
    def application(_environ: Environ, start_response: Begin) -> list[bytes]:
        start_response(status, list(headers))
        return []

    return application


FAILURES: list[tuple[Wsgi, str]] = [
    (raising(KeyError("key")), "KeyError: 'key' (tests/unit/apps/test_wsgi.py:"),
    (raising(SystemExit(3)), "SystemExit: 3"),
    (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    (raising(Silent()), "Silent"),
    (raising(SyntaxError()), "SyntaxError"),
    (raising(SyntaxError(42)), "SyntaxError: 42"),
    (raising(SyntaxError("wrong", (5, 1, 1, "text"))), "SyntaxError: wrong (5:1)"),  # type: ignore[arg-type]  # it is wrong
    (raising(SyntaxError("wrong", ("shop.py", 1, 1, 4))), "SyntaxError: wrong (shop.py:1)"),  # type: ignore[arg-type]  # it is wrong
    (lambda _environ, _start_response: [b"Hello"], "AssertionError: the application did not call start_response"),
    (lambda _environ, _start_response: Result(b"Hello"), "the application did not call start_response"),
    (lambda _environ, _start_response: None, "an iterable of bytes, got NoneType"),  # type: ignore[list-item, return-value]  # it is wrong
    (answering(b"Hello"), "the content must be bytes, got int; return [content] instead of content"),  # type: ignore[arg-type]  # it is wrong
    (answering(["Hello"]), "TypeError: the content must be bytes, got str; encode it"),  # type: ignore[list-item]  # it is wrong
    (answering(["He", "llo"]), "TypeError: sequence item 0: expected a bytes-like object, str found"),  # type: ignore[list-item]  # it is wrong
    (answering(Result("Hello")), "TypeError: the content must be bytes, got str"),  # type: ignore[arg-type]  # it is wrong
    (answering([b"Hello"], ("Content-Length", "6")), "LengthError: Content-Length says 6 bytes, and there are 5"),
    (answering([b"Hello"], ("Content-Length", "4")), "LengthError: Content-Length says 4 bytes, and there are 5"),
    (answering(Result(), ("Content-Length", "4")), "LengthError: Content-Length says 4 bytes, and there are 0"),
    (says("200 OK", ("X", "a\r\nSet-Cookie: b=c")), "HeaderError: X can't have the value 'a\\\\r\\\\nSet-Cookie: b=c'"),
    (says("200 OK", ("Transfer-Encoding", "chunked")), "HeaderError: Transfer-Encoding is for the server to send"),
    (says("0 OK"), "HeaderError: the status must be a string"),
]


@pytest.mark.parametrize(("application", "reason"), FAILURES, ids=[reason[:40] for _, reason in FAILURES])
def test_a_failure_before_anything_was_sent_is_answered_with_500_and_logged(
    application: Wsgi, reason: str, capfd: Stderr
) -> None:
    assert ask(application) is FAILED
    told = [line for line in capfd.readouterr().err.splitlines() if "application failed" in line]
    assert len(told) == 1
    assert 'application failed request="GET /path" reason=' in told[0]
    assert reason in told[0].replace('\\"', '"')


def test_the_traceback_is_of_the_application_alone(capfd: Stderr) -> None:
    ask(raising(KeyError("key")))
    log = capfd.readouterr().err
    assert "in application" in log
    assert "in respond" not in log
    assert "Traceback" not in log


def test_where_the_folder_is_gone_a_failure_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Stderr
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert ask(raising(KeyError("key"))) is FAILED
    assert "application failed" in capfd.readouterr().err


@pytest.mark.parametrize("result", [Result(then=KeyError()), Result(b"", then=SystemExit())])
def test_what_fails_before_its_first_piece_is_closed_and_answered_with_500(result: Result) -> None:
    assert ask(answering(result)) is FAILED
    assert result.closed == 1


def test_what_fails_later_is_truncated_logged_and_closed(capfd: Stderr) -> None:
    result = Result(b"Hello", then=KeyError("key"))
    with pytest.raises(Truncated):
        content_of(ask(answering(result)))
    assert result.closed == 1
    assert "KeyError: 'key'" in capfd.readouterr().err


def test_less_than_content_length_is_truncated_and_logged(capfd: Stderr) -> None:
    with pytest.raises(Truncated):
        content_of(ask(answering(Result(b"Hello"), ("Content-Length", "6"))))
    assert "LengthError: 1 bytes fewer than Content-Length says" in capfd.readouterr().err


def test_more_than_content_length_is_cut_and_logged(capfd: Stderr) -> None:
    result = Result(b"He", b"llo", b" and more")
    assert content_of(ask(answering(result, ("Content-Length", "4")))) == b"Hell"
    assert result.closed == 1
    assert 'answer cut to its Content-Length request="GET /path" surplus=1' in capfd.readouterr().err


def test_what_closing_raises_is_logged_and_the_answer_stands(capfd: Stderr) -> None:
    assert content_of(ask(answering(Result(b"Hello", closing=KeyError("key"))))) == b"Hello"
    assert "KeyError: 'key'" in capfd.readouterr().err


def test_what_is_written_after_the_application_has_returned_is_a_failure_and_not_lost(capfd: Stderr) -> None:
    def application(environ: Environ, start_response: Begin) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        if environ["REQUEST_METHOD"] == "GET":
            yield b"Hello"
        write(b"World")
        yield b"!"

    answer = ask(application)
    assert isinstance(answer, Stream)
    assert answer.pull() == b"Hello"
    with pytest.raises(Truncated):
        answer.pull()
    assert ask(application, HEAD) is FAILED
    assert capfd.readouterr().err.count("write was called after the application had returned (PEP 3333)") == 4


def test_an_error_page_can_replace_the_head_until_some_content_was_given() -> None:
    def application(_environ: Environ, start_response: Begin) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            raise KeyError("key")  # noqa: TRY301 - where an application would call what fails
        except KeyError as error:
            start_response("500 Sorry", [], (type(error), error, error.__traceback__))
        yield b"Sorry"

    answer = ask(application)
    assert (answer.head.status, content_of(answer)) == (500, b"Sorry")


def test_an_error_page_after_some_content_ends_the_answer(capfd: Stderr) -> None:
    def application(_environ: Environ, start_response: Begin) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"Hello"
        try:
            raise KeyError("key")  # noqa: TRY301 - where an application would call what fails
        except KeyError as error:
            start_response("500 Sorry", [], (type(error), error, error.__traceback__))
        yield b"Sorry"

    with pytest.raises(Truncated):
        content_of(ask(application))
    assert capfd.readouterr().err.count("application failed") == 1


# HEAD, and the content of requests


@pytest.mark.parametrize("result", [[], [b"Hello"], Result(), Result(b"Hello")])
def test_the_length_of_what_head_would_get_need_not_be_that_of_what_is_given(result: Iterable[bytes]) -> None:
    answer = ask(answering(result, ("Content-Length", "1000")), HEAD)
    assert (answer.head.status, answer.head.length) == (200, 1000)


def reading(environ: Environ, start_response: Begin) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]


def reading_later(environ: Environ, start_response: Begin) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b""
    yield environ["wsgi.input"].read()


@pytest.mark.parametrize("application", [reading, reading_later])
@pytest.mark.parametrize("size", [5, 5000])
def test_the_content_can_be_read_and_is_let_go_of_at_the_end(application: Wsgi, size: int) -> None:
    content = KeptContent(100)
    content.write(b"x" * size)
    assert content_of(ask(application, content=content)) == b"x" * size
    assert content.file.closed


@pytest.mark.parametrize(
    "application", [raising(KeyError()), answering([b"1"]), answering(Result(b"1", then=KeyError())), says("wrong")]
)
def test_the_content_is_let_go_of_whatever_becomes_of_the_answer(application: Wsgi) -> None:
    content = KeptContent(1)
    content.write(b"xx")
    answer = ask(application, content=content)
    if isinstance(answer, Stream):
        answer.close()
    assert content.file.closed


def test_what_was_written_before_a_failure_is_let_go_of() -> None:
    kept: list[KeptContent | None] = []

    def application(_environ: Environ, start_response: Begin) -> list[bytes]:
        start_response("200 OK", [])(b"x" * 100_000)
        kept.append(start_response.__self__.written)  # type: ignore[attr-defined]  # an Exchange's
        raise KeyError

    assert ask(application) is FAILED
    assert kept[0] is not None
    assert kept[0].file.closed


@pytest.mark.parametrize("pieces", [(b"all",), (b"al", b"l"), ()])
@pytest.mark.parametrize("kind", [list, tuple])
def test_to_write_after_a_whole_answer_was_returned_fails(
    kind: Callable[[Iterable[bytes]], Iterable[bytes]], pieces: tuple[bytes, ...]
) -> None:
    kept: list[Callable[[bytes], None]] = []

    def application(_environ: Environ, start_response: Begin) -> Iterable[bytes]:
        kept.append(start_response("200 OK", []))
        return kind(pieces)

    assert content_of(ask(application)) == b"".join(pieces)
    with pytest.raises(AssertionError, match="write was called after the application had returned"):
        kept[0](b"more")
