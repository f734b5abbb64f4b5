"""Clients that wait for 100 (Continue), and `continue_on_read`: who is told to go on, when, and what it costs."""

import subprocess
import time
from collections.abc import Callable
from signal import SIGHUP, SIGTERM
from typing import Final

import pytest

from tests.process.clients import Client
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.test_stopping import wait_until_stopping
from tests.process.test_wsgi import TRUNCATED, answer, ask, closed, failures, noted, post, request, serve, until_cut
from tests.process.waiting import LIMIT, until

ON_READ: Final = "threads = 2\ncontinue_on_read = true"
CHUNKS: Final = b"3\r\nHel\r\n2\r\nlo\r\n0\r\n\r\n"


def expecting(target: str, length: int | None = 5, *lines: str) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return request(target, framing, "Expect: 100-continue", *lines, method="POST")


def told_to_go_on(hello: Hello, sent: bytes) -> Client:
    client = hello.connect()
    client.send(sent)
    found = client.answer(to_head=True)
    assert (found.status, found.fields) == (100, {})
    return client


def note_of(hello: Hello, beginning: str, count: int = 1) -> str:
    """Wait for so many notes of the application that begin so, and return the last."""

    def found() -> list[str]:
        lines = [line for line in noted(hello) if line.startswith(beginning)]
        return lines if len(lines) == count else []

    return until(found, f"{count} notes {beginning!r}")[-1]


# What is read


@pytest.mark.parametrize(
    ("target", "length", "body", "found"),
    [
        ("/echo", 5, b"Hello", b"Hello"),
        ("/lines", 5, b"a\nb\nc", b"a\nb\nc"),
        ("/attempt", None, CHUNKS, b"attempted"),
        ("/count", 200_000, b"x" * 200_000, b"200000 5880 Input"),
    ],
)
def test_at_the_first_read_the_client_is_told_to_go_on_and_what_it_sends_is_read(
    start_app: Start, target: str, length: int | None, body: bytes, found: bytes
) -> None:
    hello = serve(start_app, ON_READ)
    client = told_to_go_on(hello, expecting(target, length))
    for _ in range(2):
        client.send(body)
        told = answer(client)
        assert (told.status, told.body, told.is_last) == (200, found, False)
        client.send(expecting(target, length))
        assert client.answer(to_head=True).status == 100
    client.close()
    hello.wait_until_closed()


def test_a_body_in_chunks_has_no_length_before_it_has_come(start_app: Start) -> None:
    hello = serve(start_app, ON_READ)
    client = hello.connect()
    client.send(expecting("/environ", None))
    lines = answer(client).body.decode().split("\n")
    assert "wsgi.input_terminated=True" in lines
    assert not any(line.startswith("CONTENT_LENGTH=") for line in lines)


def test_a_client_that_does_not_wait_to_be_told_is_served_too(start_app: Start) -> None:
    hello = serve(start_app, ON_READ)
    client = hello.connect()
    client.send(expecting("/echo") + b"Hello" + expecting("/echo"))
    assert answer(client).body == b"Hello"
    assert client.answer(to_head=True).status == 100
    client.send(b"again" + request("/pieces"))
    assert [answer(client).body for _ in range(2)] == [b"again", b"onetwo"]


def test_the_validator_finds_nothing_wrong_with_it(start_app: Start) -> None:
    hello = serve(start_app, ON_READ, app="application:checked")
    for target, body in ("/echo", b"Hello"), ("/lines", b"a\nb\nc"):
        client = told_to_go_on(hello, expecting(target))
        client.send(body)
        assert answer(client).body == body
    assert ask(hello, expecting("/refused")).body == b"refused"
    assert failures(hello) == []


# What is not read


def test_an_answer_without_reading_saves_the_upload_and_is_the_last(start_app: Start) -> None:
    hello = serve(start_app, ON_READ)
    client = hello.connect()
    client.send(expecting("/refused"))
    found = answer(client)
    assert (found.status, found.body, found.is_last) == (403, b"refused", True)
    client.send(b"Hello" + request("/hello"))
    assert client.until_closed() == b""
    closed(hello, "refused")


def test_what_is_read_after_the_answer_has_begun_fails_and_the_answer_is_cut(start_app: Start) -> None:
    hello = serve(start_app, ON_READ)
    client = hello.connect()
    client.send(expecting("/reads_late"))
    assert until_cut(client) == TRUNCATED
    closed(hello, "reads_late")
    hello.wait_for_log("application failed")
    assert "OSError: the content of the request was not received" in failures(hello)[0]


@pytest.mark.parametrize(
    ("target", "status", "is_told", "uploaded"), [("/count", 200, True, 1_000_000), ("/refused", 403, False, 0)]
)
def test_curl_uploads_what_is_read_and_nothing_else(
    start_app: Start, target: str, status: int, uploaded: int, *, is_told: bool
) -> None:
    hello = serve(start_app, ON_READ)
    (hello.folder / "upload").write_bytes(b"x" * 1_000_000)
    told = "-w", "%{http_code} %{size_upload}", "-o", "answer", "-v", "--expect100-timeout", f"{LIMIT}"
    ended = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "-T", "upload", "-H", "Expect: 100-continue", *told, f"{hello.addresses[0]}{target}"],
        cwd=hello.folder, capture_output=True, text=True, timeout=2 * LIMIT, check=True,
    )  # fmt: skip
    assert ended.stdout == f"{status} {uploaded}"
    assert ("100 Continue" in ended.stderr) is is_told


# Who leaves, is slow, or breaks a rule


@pytest.mark.parametrize("leave", [Client.close, Client.reset, Client.half_close])
@pytest.mark.parametrize("begun", [b"", b"He"])
def test_whoever_goes_while_a_thread_waits_sets_it_free(
    start_app: Start, leave: Callable[[Client], None], begun: bytes
) -> None:
    hello = serve(start_app, f"{ON_READ}\nmax_queued_requests = 1")
    for number in range(1, 4):
        client = told_to_go_on(hello, expecting("/attempt"))
        client.send(begun)
        leave(client)
        assert "was not received" in note_of(hello, "OSError", number)
        closed(hello, "attempt", number)
    hello.leave()
    hello.wait_until_closed()
    assert ask(hello, request("/hello")).status == 200


def test_an_application_is_not_blamed_for_a_client_that_goes(start_app: Start) -> None:
    hello = serve(start_app, ON_READ)
    told_to_go_on(hello, expecting("/echo")).close()
    hello.wait_for_log('application stopped request="POST /echo" reason="the content of the request was not received: ')
    assert failures(hello) == []


@pytest.mark.parametrize(
    ("setting", "sent", "status"),
    [
        ('body_timeout = "600ms"', b"", 408),
        ('body_timeout = "600ms"', b"5\r\nHe", 408),
        ('limit_body = "10"', b"b\r\n", 413),
        ("", b"nonsense\r\n", 400),
    ],
)
def test_what_a_body_breaks_or_is_late_for_is_told_to_its_client_and_sets_the_thread_free(
    start_app: Start, setting: str, sent: bytes, status: int
) -> None:
    hello = serve(start_app, f"{ON_READ}\n{setting}")
    client = told_to_go_on(hello, expecting("/attempt", None))
    client.send(sent)
    found = answer(client)
    assert (found.status, found.is_last) == (status, True)
    assert client.until_closed() == b""
    note_of(hello, "OSError")
    closed(hello, "attempt")


def test_a_body_beyond_the_limit_is_refused_before_the_application_is_called(start_app: Start) -> None:
    hello = serve(start_app, f'{ON_READ}\nlimit_body = "10"')
    assert ask(hello, expecting("/attempt", 11)).status == 413
    assert noted(hello) == []


def test_whoever_sends_slowly_occupies_a_thread(start_app: Start) -> None:
    hello = serve(start_app, f"{ON_READ}\nmax_queued_requests = 0")
    slow = [told_to_go_on(hello, expecting("/echo")) for _ in range(2)]
    refused = ask(hello, request("/hello"))
    assert (refused.status, refused.is_last) == (503, False)
    refused = ask(hello, expecting("/echo"))
    assert (refused.status, refused.is_last) == (503, True)
    for client in slow:
        client.send(b"Hello")
        assert answer(client).body == b"Hello"
    until(lambda: ask(hello, request("/hello")).status == 200, "a thread that is free")


def test_request_timeout_does_not_count_while_the_body_is_received(start_app: Start) -> None:
    hello = serve(start_app, f'{ON_READ}\nrequest_timeout = "600ms"')
    client = told_to_go_on(hello, expecting("/echo", 20))
    began, sent = time.monotonic(), 0
    while time.monotonic() < began + 1.5 or sent < 19:
        client.send(b"x" if sent < 19 else b"")
        sent = min(19, sent + 1)
        time.sleep(0.05)
    client.send(b"x")
    assert answer(client).body == b"x" * 20
    assert "request timed out" not in hello.log


# While workers are replaced, and at the end


def test_a_reload_waits_for_the_body_and_moves_the_connection_after_its_answer(start_app: Start) -> None:
    hello = serve(start_app, ON_READ)
    before = hello.worker_pids()
    client = told_to_go_on(hello, expecting("/echo"))
    client.send(b"He")
    hello.signal(SIGHUP)
    hello.wait_for_log(" reloaded ")
    assert ask(hello, request("/hello")).body != f"{before.pop()}".encode()
    client.send(b"llo")
    found = answer(client)
    assert (found.body, found.is_last) == (b"Hello", False)
    hello.wait_for_workers(1, without=hello.descriptors)
    assert int(client.ask(request("/hello")).body) not in hello.descriptors


def test_a_stop_waits_for_the_body_and_answers(start_app: Start) -> None:
    hello = serve(start_app, ON_READ)
    client = told_to_go_on(hello, expecting("/echo"))
    hello.signal(SIGTERM)
    wait_until_stopping(hello)
    client.send(b"Hello")
    found = answer(client)
    assert (found.body, found.is_last) == (b"Hello", True)
    hello.leave()
    assert hello.wait_for_exit() == 0


def test_a_stop_waits_no_longer_than_graceful_timeout_for_a_body(start_app: Start) -> None:
    hello = serve(start_app, f'{ON_READ}\ngraceful_timeout = "500ms"')
    clients = [told_to_go_on(hello, expecting("/attempt")), hello.connect()]
    clients[1].send(request("/waits?never"))
    note_of(hello, "begun never")
    assert hello.stop() == 0
    assert "connections cut count=2" in hello.log
    assert "killing worker" not in hello.log


# The default


def test_by_default_the_client_is_told_at_once_and_occupies_no_thread(start_app: Start) -> None:
    hello = serve(start_app, "threads = 2\nmax_queued_requests = 2")  # which is fewer than those that are slow
    slow = [told_to_go_on(hello, expecting("/attempt")) for _ in range(5)]
    assert ask(hello, request("/hello")).status == 200
    assert noted(hello) == []
    for number, client in enumerate(slow, 1):
        client.send(b"Hello")
        assert answer(client).body == b"attempted"
        note_of(hello, "read 5", number)
        closed(hello, "attempt", number)
    assert ask(hello, post("/echo", b"Hello")).body == b"Hello"
