"""Behind a proxy that tells in header fields whose each request is: a real HAProxy, and senders that imitate one."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.process.starting import Start
from tests.process.test_proxy import client_from, haproxy, logged
from tests.process.test_wsgi import answer, request, serve
from tests.process.waiting import until

README: Final = Path(__file__).parents[2] / "README.md"
LOGGED: Final = 'workers = 1\naccess_log = "access"\n'
MADE_UP: Final = (
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 127.0.0.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=6.6.6.6\r\n\r\n",
    b'GET / HTTP/1.1\r\nHost: a\r\nForwarded: for="6.6.6.6\r\n\r\n',
)
TOLD: Final = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
FORWARDFOR: Final = "\n    option forwardfor"
PROXIED: Final = "send-proxy-v2"


@pytest.mark.parametrize("options", [FORWARDFOR, PROXIED, PROXIED + FORWARDFOR])
def test_behind_haproxy_the_client_is_logged_whatever_it_says_itself(
    start: Start, tmp_path: Path, options: str
) -> None:
    hello = start(LOGGED + f"proxy_protocol = {'true' if PROXIED in options else 'false'}")
    with haproxy(tmp_path, hello.ports[0], options) as port:
        client = client_from("127.0.0.9", port)
        for request in MADE_UP:
            assert client.ask(request).status == 200
        until(lambda: len(logged(hello)) >= len(MADE_UP), "the lines of the access log")
        client.close()
    assert logged(hello) == ["127.0.0.9"] * len(MADE_UP)


def test_behind_haproxy_as_the_readme_has_it_a_client_makes_nothing_up(start_app: Start, tmp_path: Path) -> None:
    found = re.search(r"(?m)^    option forwardfor\n(?:    http-request .*\n)+", README.read_text())
    assert found
    hello = serve(start_app)
    made_up = (
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "Forwarded: for=6.6.6.6",
    )
    with haproxy(tmp_path, hello.ports[0], "\n" + found[0]) as port:
        client = client_from("127.0.0.9", port)
        client.send(request("/environ", *made_up))
        told = dict(line.split("=", 1) for line in answer(client).body.decode().split("\n"))
        client.close()
    assert (told["REMOTE_ADDR"], told["HTTP_HOST"]) == ("'127.0.0.9'", "'a.example'")
    assert (told["wsgi.url_scheme"], told["SERVER_PORT"]) == ("'http'", "'80'")


def test_only_a_trusted_proxy_is_believed(start: Start) -> None:
    hello = start(LOGGED)
    for address in ("127.0.0.9", "127.0.0.1"):
        client = client_from(address, hello.ports[0])
        assert client.ask(TOLD).status == 200
        client.close()
    until(lambda: logged(hello) == ["127.0.0.9", "192.0.2.1"], "both clients in the access log")


def test_only_a_trusted_proxy_may_ask_for_https_without_tls_rfc9110_7_4(start: Start) -> None:
    hello = start("workers = 1")
    for address, status in ("127.0.0.9", 421), ("127.0.0.1", 200), ("127.0.0.9", 421):
        client = client_from(address, hello.ports[0])
        assert client.ask(b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n").status == status
        client.close()


def test_who_is_trusted_can_be_said_and_a_reload_changes_it_for_open_connections_too(start: Start) -> None:
    hello = start(LOGGED + "forwarded_allow_ips = []")
    client = hello.connect()
    assert client.ask(TOLD).status == 200
    hello.reload(LOGGED + 'forwarded_allow_ips = ["127.0.0.0/8"]')
    hello.wait_for_log("connections taken over count=1")
    assert client.ask(TOLD).status == 200
    until(lambda: logged(hello) == ["127.0.0.1", "192.0.2.1"], "both clients in the access log")


@pytest.mark.parametrize("app", ["", "environ"])
def test_who_speaks_as_a_proxy_and_is_not_trusted_is_told_of_once_with_the_key(
    start: Start, start_app: Start, app: str
) -> None:
    hello = serve(start_app, 'access_log = "access"') if app else start(LOGGED)
    for _ in range(3):
        client = client_from("127.0.0.9", hello.ports[0])
        assert client.ask(TOLD).status == 200
        client.close()
    until(lambda: logged(hello) == ["127.0.0.9"] * 3, "the requests in the access log")
    line = "not believed: no trusted proxy peer=127.0.0.9 field=x-forwarded-for key=forwarded_allow_ips"
    hello.wait_for_log(line)
    assert hello.log.count("not believed") == 1


@pytest.mark.parametrize("untold", ["forwarded_allow_ips = []", "proxy_protocol = true"])
def test_nobody_is_told_of_where_nobody_is_to_be_believed(start: Start, untold: str) -> None:
    hello = start(LOGGED + untold)
    client = client_from("127.0.0.9", hello.ports[0])
    assert client.ask(TOLD).status == 200
    client.close()
    until(lambda: logged(hello) == ["127.0.0.9"], "the request in the access log")
    assert "not believed" not in hello.log


def test_over_a_unix_socket_the_proxy_is_trusted_where_that_is_said(start: Start) -> None:
    hello = start(LOGGED + 'forwarded_allow_ips = ["unix:"]', bind=["unix:socket"])
    assert hello.connect().ask(TOLD).status == 200
    until(lambda: logged(hello) == ["192.0.2.1"], "the client in the access log")


def test_a_name_is_no_proxy(start: Start) -> None:
    status, error = start.refused('forwarded_allow_ips = ["localhost"]')
    assert status == 78
    assert re.search(r'forwarded_allow_ips: expected an IP address, .*, got "localhost"', error)
