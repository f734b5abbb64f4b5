"""What is refused: with a status, a reason, and a close that leaves the client the time to read both."""

import time

import pytest

from tests.process.clients import GET, HALF_A_HEAD
from tests.process.starting import Start
from tests.process.waiting import until

REFUSED = [
    (b"GARBAGE\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nName : value\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413),
    (b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET /" + b"a" * 1000, 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417),
    (b"GET / HTTP/1.1\r\nHost: a\r\nName: " + b"a" * 2000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"Name: value\r\n" * 10 + b"\r\n", 431),
    (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
]
LIMITS = """
workers = 1
limit_request_line = 1000
limit_head = 2000
limit_fields = 10
limit_body = 1000
"""


def test_each_refusal_has_its_status_a_reason_and_a_close(start: Start) -> None:
    hello = start(LIMITS)
    for request, status in REFUSED:
        client = hello.connect()
        answer = client.ask(request)
        assert (answer.status, answer.is_last) == (status, True), request
        assert answer.body.endswith(b"\n"), request
        assert client.until_closed() == b"", request
    assert hello.get().status_code == 200


def test_the_log_tells_how_many_were_refused_why_and_whose_the_last_was(start: Start) -> None:
    hello = start("workers = 1\nheader_timeout = 0.4")
    for request in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", HALF_A_HEAD):
        assert hello.connect().ask(request).is_last
    hello.wait_for_log(
        'requests refused status=400 reason="TLS on a port that speaks plain HTTP" count=1 last=127.0.0.1'
    )
    hello.wait_for_log('requests refused status=408 reason="waited too long for the rest of a head" count=1')


def test_what_is_refused_just_before_a_worker_ends_is_told_too(start: Start) -> None:
    hello = start("workers = 1")
    assert hello.connect().ask(b"GARBAGE\r\n\r\n").is_last
    hello.leave()
    hello.stop()
    assert 'requests refused status=400 reason="malformed request line" count=1' in hello.log


def test_nothing_after_a_refused_request_is_answered(start: Start) -> None:
    client = start("workers = 1").connect()
    client.send(GET + b"GARBAGE\r\n\r\n" + GET)
    assert [client.answer().status, client.answer().status] == [200, 400]
    assert client.until_closed() == b""


def test_a_client_that_has_sent_more_still_reads_why_it_was_refused(start: Start) -> None:
    client = start("workers = 1").connect()
    client.send(b"GARBAGE\r\n\r\n" + b"a" * 50_000)
    client.send(b"a" * 10_000)
    assert client.answer().status == 400
    assert client.until_closed() == b""  # a reset would raise


def test_a_client_that_sends_all_of_a_body_that_is_too_large_reads_so_rfc9112_9_6(start: Start) -> None:
    client = start("workers = 1\nlimit_body = 1000").connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
    client.send(b"a" * 4_000_000)  # a reset would raise here already, and most clients never read then
    assert client.answer().status == 413
    assert client.until_closed() == b""


def test_a_head_that_does_not_come_ends_with_408(start: Start) -> None:
    client = start('workers = 1\nheader_timeout = "200ms"').connect()
    answer = client.ask(HALF_A_HEAD)
    assert (answer.status, answer.is_last) == (408, True)
    assert client.until_closed() == b""


def test_a_head_that_trickles_in_ends_with_408_too(start: Start) -> None:
    client = start('workers = 1\nheader_timeout = "300ms"').connect()
    client.socket.settimeout(0.05)

    def refusal() -> bytes:
        try:
            client.send(HALF_A_HEAD if not sent else b"a")
            sent.append(True)
            return client.socket.recv(100)
        except TimeoutError:
            return b""

    sent: list[bool] = []
    assert until(refusal, "a refusal").startswith(b"HTTP/1.1 408 ")


def test_a_body_that_stops_ends_with_408(start: Start) -> None:
    client = start('workers = 1\nbody_timeout = "200ms"').connect()
    answer = client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
    assert (answer.status, answer.is_last) == (408, True)
    assert client.until_closed() == b""


def test_an_idle_connection_is_closed_after_keep_alive_timeout(start: Start) -> None:
    hello = start('workers = 1\nkeep_alive_timeout = "600ms"')
    never_asked, asked = hello.connect(), hello.connect()
    assert asked.ask().status == 200
    assert never_asked.until_closed() == asked.until_closed() == b""


PAUSE = 1.2  # seconds; not a wait: what the client takes, far more than any other timeout would let it
BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234567890"
PROXIED = b"PROXY UNKNOWN\r\n" + GET


@pytest.mark.parametrize(
    ("name", "begun", "rest"),
    [
        ("keep_alive_timeout", b"", GET),
        ("header_timeout", HALF_A_HEAD, GET.removeprefix(HALF_A_HEAD)),
        ("body_timeout", BODY[:-5], BODY[-5:]),
        ("handshake_timeout", PROXIED[:5], PROXIED[5:]),
    ],
)
def test_who_is_slow_within_the_timeout_for_what_is_late_meets_no_other(
    start: Start, name: str, begun: bytes, rest: bytes
) -> None:
    others = {"keep_alive_timeout", "header_timeout", "body_timeout", "handshake_timeout", "write_timeout"} - {name}
    toml = "".join(f'{each} = "400ms"\n' for each in others)
    proxied = name == "handshake_timeout"
    defers = int(name in {"header_timeout", "body_timeout"})  # who says something at once is accepted then
    client = start(
        f'workers = 1\ntcp_defer_accept = {defers}\nproxy_protocol = {str(proxied).lower()}\n{name} = "1m"\n{toml}'
    ).connect()
    client.send(begun)
    time.sleep(PAUSE)
    assert client.ask(rest).status == 200
