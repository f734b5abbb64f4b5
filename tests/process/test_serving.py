"""What a client is answered."""

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.process.clients import GET, LAST_GET
from tests.process.starting import Start

KEPT_1_0 = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
POST = b"POST /form HTTP/1.1\r\nHost: localhost\r\n"
TO_THE_BYTE = (
    rb"HTTP/1\.1 200 OK\r\n"
    rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n"
    rb"Content-Type: text/plain\r\n"
    rb"Content-Length: 13\r\n"
    rb"Connection: close\r\n"
    rb"\r\n"
    rb"Hello, world!"
)


def test_a_get_is_answered_to_the_byte(start: Start) -> None:
    client = start("workers = 1").connect()
    client.send(LAST_GET)
    assert re.fullmatch(TO_THE_BYTE, client.until_closed())


def test_the_date_is_true_and_goes_on(start: Start) -> None:
    client = start("workers = 1").connect()
    now = datetime.now(UTC)
    first, last = (parsedate_to_datetime(client.ask().fields["date"]) for _ in range(2))
    assert now - timedelta(seconds=2) <= first <= datetime.now(UTC) + timedelta(seconds=1)
    while last == first:
        last = parsedate_to_datetime(client.ask().fields["date"])
    assert last - first >= timedelta(seconds=1)
    assert last <= datetime.now(UTC) + timedelta(seconds=1)


def test_head_is_answered_without_the_body(start: Start) -> None:
    client = start("workers = 1").connect()
    client.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = client.answer(to_head=True)
    assert (answer.status, answer.fields["content-length"]) == (200, "13")
    assert client.ask().body == b"Hello, world!"


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 11\r\n\r\nname=prefork",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nname=\r\n7;ext=1\r\nprefork\r\n0\r\nTrailer: x\r\n\r\n",
    ],
    ids=["by Content-Length", "in chunks"],
)
def test_the_body_of_a_post_is_read_and_dropped(start: Start, body: bytes) -> None:
    client = start("workers = 1").connect()
    client.send(POST + body.replace(b": 11", b": 12") + GET)
    assert [client.answer().status, client.answer().status] == [200, 200]


def test_a_body_of_a_mebibyte_is_taken(start: Start) -> None:
    client = start("workers = 1").connect()
    client.send(POST + b"Content-Length: 1048576\r\n\r\n" + bytes(1024 * 1024))
    assert client.answer().status == 200
    assert client.ask().status == 200


def test_100_continue_comes_before_the_body_is_sent(start: Start) -> None:
    client = start("workers = 1").connect()
    assert client.ask(POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n").status == 100
    assert client.ask(b"body").status == 200


def test_http_1_1_keeps_the_connection(start: Start) -> None:
    client = start("workers = 1").connect()
    answers = [client.ask() for _ in range(10)]
    assert all(answer.status == 200 and "connection" not in answer.fields for answer in answers)


def test_http_1_0_keeps_the_connection_where_it_is_asked_to(start: Start) -> None:
    client = start("workers = 1").connect()
    assert [client.ask(KEPT_1_0).fields["connection"] for _ in range(3)] == ["keep-alive"] * 3
    assert client.ask(b"GET / HTTP/1.0\r\n\r\n").fields["connection"] == "close"
    assert client.until_closed() == b""


def test_fifty_pipelined_requests_are_answered_in_their_order(start: Start) -> None:
    client = start("workers = 1").connect()
    kinds = [b"GET", b"HEAD"] * 25
    client.send(b"".join(kind + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n" for kind in kinds) + LAST_GET)
    answers = [client.answer(to_head=kind == b"HEAD").status for kind in kinds]
    assert answers == [200] * 50
    assert client.answer().is_last


def test_body_content_type_and_status_come_from_the_configuration(start: Start) -> None:
    hello = start('workers = 1\n[hello]\nbody = "<p>Grüße"\ncontent_type = "text/html; charset=utf-8"\nstatus = 503')
    response = hello.get()
    assert (response.status_code, response.text) == (503, "<p>Grüße")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Length"] == str(len(response.content))


def test_a_session_of_requests_is_served(start: Start) -> None:
    hello = start("workers = 2")
    with requests.Session() as session:
        session.trust_env = False  # no proxy
        url = f"http://127.0.0.1:{hello.ports[0]}/"
        responses = [session.get(url), session.post(url, data={"a": "b"}), session.put(url, data=iter([b"a", b"b"]))]
        assert [response.text for response in responses] == ["Hello, world!"] * 3
        assert session.head(url).headers["Content-Length"] == "13"


def test_a_connection_takes_nothing_of_a_worker_until_something_comes(start: Start) -> None:
    hello = start("workers = 1\ntcp_defer_accept = 60")
    before = hello.descriptors
    silent = [hello.connect() for _ in range(10)]
    assert hello.get().text == "Hello, world!"
    hello.wait_until_closed()
    assert hello.descriptors == before
    assert [client.ask().status for client in silent] == [200] * 10


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_is_served(start: Start) -> None:
    url = f"http://127.0.0.1:{start('workers = 1').ports[0]}/"
    command = ["curl", "--noproxy", "*", "--silent", "--show-error", "--include", url, "--data", "name=prefork", url]
    output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert output.count("HTTP/1.1 200 OK\n") == 2
    assert output.count("Hello, world!") == 2
