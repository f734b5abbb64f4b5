"""What is told of a request: to the access log, and at log level debug to whoever looks."""

import os
from collections.abc import Iterator

import pytest

from prefork.http.forwarded import Forwarding
from prefork.http.messages import FRAMINGS, KEEP, Request, Response
from prefork.http.trust import trusting
from prefork.logs import AccessLog
from prefork.worker.observing import line, observer, show
from prefork.worker.opening import Peer

Stderr = pytest.CaptureFixture[str]

HEAD = b"GET /a HTTP/1.1\r\nHost: a\r\nReferer: http://b/\r\nUser-Agent: curl/8\r\n\r\n"
REQUEST = Request(b"GET", b"/a", 1, b"GET /a HTTP/1.1\r\nHost: a\r\nReferer: http://b/\r\nUser-Agent: curl/8\r\n\r\n")
HELLO = Response(200, (), b"Hello")
FORWARDING = Forwarding(trusting(["127.0.0.1"]))


def after_time(line: bytes) -> tuple[bytes, bytes]:
    """Return what comes before and after the time of a line in the combined format."""
    before, _, rest = line.partition(b"[")
    return before, rest.partition(b"] ")[2]


def test_where_nobody_looks_there_is_no_observer() -> None:
    assert observer(None, FORWARDING, show_heads=False) is None


def test_a_request_is_a_line_in_the_combined_format() -> None:
    assert after_time(line(b"127.0.0.1", HEAD, REQUEST, HELLO)) == (
        b"127.0.0.1 - - ",
        b'"GET /a HTTP/1.1" 200 5 "http://b/" "curl/8"\n',
    )


def test_the_answer_to_head_has_no_length() -> None:
    request = Request(b"HEAD", b"/", 1, b"", FRAMINGS[KEEP, True])
    head = b"\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert after_time(line(b"::1", head, request, HELLO))[1] == b'"HEAD / HTTP/1.1" 200 - "-" "-"\n'


def test_of_a_refused_request_only_its_first_line_is_told_made_harmless() -> None:
    head = b'\x16\x03"\x1b[2J'
    assert after_time(line(b"unix:", head, None, Response(400, (), b"no\n"))) == (
        b"unix: - - ",
        b'"\\x16\\x03\\"\\x1b[2J" 400 3 "-" "-"\n',
    )


def test_a_head_is_shown_under_a_rule(capfd: Stderr) -> None:
    show(HEAD)
    shown = "-" * 40 + "\nGET /a HTTP/1.1\nHost: a\nReferer: http://b/\nUser-Agent: curl/8\n"
    assert capfd.readouterr().err == shown


def test_what_could_drive_a_terminal_is_shown_as_question_marks(capfd: Stderr) -> None:
    show(b"GET /\x1b[2J\x07\xff HTTP/1.1\r\nX: a\tb\r\n\r\n")
    assert capfd.readouterr().err.splitlines()[1:] == ["GET /?[2J?? HTTP/1.1", "X: a\tb"]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize("show_heads", [False, True])
@pytest.mark.parametrize("logged", [False, True])
def test_an_observer_shows_and_logs_as_was_asked(
    pipe: tuple[int, int], capfd: Stderr, *, show_heads: bool, logged: bool
) -> None:
    access_log = AccessLog(pipe[1]) if logged else None
    observing = observer(access_log, FORWARDING, show_heads=show_heads)
    if observing is None:
        assert not show_heads
        assert not logged
        return
    observing(Peer(b"127.0.0.1"))(HEAD, REQUEST, HELLO)
    assert bool(capfd.readouterr().err) is show_heads
    if access_log is not None:
        access_log.flush()
        assert os.read(pipe[0], 4096).startswith(b"127.0.0.1 - - [")


@pytest.mark.parametrize(
    ("peer", "told", "logged"),
    [
        (b"127.0.0.1", Request(b"GET", b"/", 1, b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"), b"192.0.2.1"),
        (b"192.0.2.9", Request(b"GET", b"/", 1, b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"), b"192.0.2.9"),
        (b"127.0.0.1", None, b"127.0.0.1"),
    ],
)
def test_the_client_is_logged_that_a_trusted_proxy_tells_of(
    pipe: tuple[int, int], peer: bytes, told: Request | None, logged: bytes
) -> None:
    access_log = AccessLog(pipe[1])
    observing = observer(access_log, FORWARDING, show_heads=False)
    assert observing is not None
    observing(Peer(peer))(HEAD, told, HELLO)
    access_log.flush()
    assert os.read(pipe[0], 4096).startswith(logged + b" - - [")
