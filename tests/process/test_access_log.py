"""The access log of a running service: what was sent and what was not, in every format, over reloads too."""

import json
import re
from typing import Final

import pytest

from tests.process.clients import GET, HALF_A_HEAD
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.waiting import until

LOGGED: Final = 'workers = 1\naccess_log = "access"\naccess_log_format = "%h \\"%r\\" %s %B %O %D %X"\n'
POST: Final = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
LINE: Final = re.compile(r'127\.0\.0\.1 "(.*)" (\d+) (\d+) (\d+) (\d+) ([+X])')


def logged(hello: Hello, count: int) -> list[tuple[str, int, int, int, int, str]]:
    """Return so many lines as request line, status, bytes of the body and of all, microseconds, mark."""
    access = hello.folder / "access"
    until(lambda: access.read_text().count("\n") >= count, f"{count} lines")
    matches = [LINE.fullmatch(line) for line in access.read_text().splitlines()]
    return [
        (match[1], int(match[2]), int(match[3]), int(match[4]), int(match[5]), match[6]) for match in matches if match
    ]


def test_the_bytes_are_those_that_the_client_got(start: Start) -> None:
    hello = start(LOGGED)
    client = hello.connect()
    client.send(GET)
    head, _, body = client.socket.recv(65536).partition(b"\r\n\r\n")
    [(request_line, status, told_body, told_all, took, mark)] = logged(hello, 1)
    assert (request_line, status, mark) == ("GET / HTTP/1.1", 200, "+")
    assert (told_body, told_all) == (len(body), len(head) + 4 + len(body))
    assert 0 < took < 15e6


def test_a_client_that_leaves_while_it_is_answered_is_told_with_what_it_took(start: Start) -> None:
    hello = start(LOGGED + 'limit_pipelined = 1000\n[hello]\nbody = "' + "x" * 65536 + '"')
    client = hello.connect()
    client.send(GET * 1000)
    client.take_some(1)
    client.reset()
    until(lambda: (hello.folder / "access").read_text().endswith(" X\n"), "the lines of what was not sent")
    lines = logged(hello, 1)
    marks = "".join(mark for *_, mark in lines)
    assert re.fullmatch(r"\+*X+", marks)
    bodies = [body for _, _, body, *_ in lines]
    cut = marks.index("X")
    assert bodies == [65536] * cut + [bodies[cut]] + [0] * (len(bodies) - cut - 1)
    assert bodies[cut] < 65536


@pytest.mark.parametrize(
    ("sent", "request_line"),
    [(HALF_A_HEAD, "GET / HTTP/1.1"), (b"GET /a", "GET /a"), (POST + b"half", "POST /p HTTP/1.1")],
)
def test_a_request_that_never_becomes_whole_is_told_with_499(start: Start, sent: bytes, request_line: str) -> None:
    hello = start(LOGGED)
    client = hello.connect()
    assert client.ask().status == 200
    client.send(sent)
    client.half_close()
    assert client.until_closed() == b""
    _, (line, *told, _took, mark) = logged(hello, 2)
    assert (line, told, mark) == (request_line, [499, 0, 0], "X")


def test_who_says_nothing_is_not_told(start: Start) -> None:
    hello = start(LOGGED)
    for _ in range(3):
        hello.connect().close()
    hello.wait_until_closed()
    assert hello.get("/x").status_code == 200
    assert [line for line, *_ in logged(hello, 1)] == ["GET /x HTTP/1.1"]


def test_a_request_that_takes_too_long_is_told_with_408_and_how_long(start: Start) -> None:
    hello = start(LOGGED + "header_timeout = 0.3")
    client = hello.connect()
    client.send(HALF_A_HEAD)
    assert client.answer().status == 408
    [(line, status, _body, _all, took, _mark)] = logged(hello, 1)
    assert (line, status) == ("GET / HTTP/1.1", 408)
    assert took > 0.3e6


def test_what_is_cut_when_a_worker_must_leave_is_told(start: Start) -> None:
    hello = start(LOGGED + "graceful_timeout = 0.3")
    client = hello.connect()
    client.send(POST + b"half")
    assert hello.stop() == 0
    [(line, status, *_, mark)] = logged(hello, 1)
    assert (line, status, mark) == ("POST /p HTTP/1.1", 499, "X")


def test_an_answer_that_is_sent_by_two_workers_is_one_line(start: Start) -> None:
    toml = LOGGED + '[hello]\nbody = "' + "x" * 65536 + '"'
    hello = start(toml)
    client = hello.connect()
    client.send(GET * 100)
    client.take_some(1)
    hello.reload(toml)
    assert [len(client.answer().body) for _ in range(100)] == [65536] * 100
    assert {each[1:3] + each[5:] for each in logged(hello, 100)} == {(200, 65536, "+")}
    assert len(logged(hello, 100)) == 100


def test_json_can_be_read_by_a_program(start: Start) -> None:
    hello = start('workers = 1\naccess_log = "access"\naccess_log_format = "json"')
    hello.connect().ask(b'GET /a?"b HTTP/1.1\r\nHost: h\r\nUser-Agent: \xe9\\\r\n\r\n')
    hello.connect().ask(b"GET /a?b HTTP/1.1\r\nHost: h\r\nUser-Agent: \xe9\\\r\n\r\n")
    until(lambda: (hello.folder / "access").read_text().count("\n") == 2, "two lines")
    refused, served = map(json.loads, (hello.folder / "access").read_text().splitlines())
    assert (refused["status"], served["status"], served["target"]) == (400, 200, "/a?b")
    assert served["user_agent"] == "é\\"


def test_a_directive_that_there_is_not_is_a_mistake(start: Start) -> None:
    status, error = start.refused('access_log_format = "%h %z"')
    assert status == 78
    assert 'access_log_format: expected "common", "combined", "json", or directives' in error
