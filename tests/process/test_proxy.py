"""Behind a proxy that tells whose each connection is: a real HAProxy, and senders that imitate one."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.corpus import PROXY_HEADERS
from tests.process import application, proc
from tests.process.clients import GET, Client
from tests.process.hello import ANY_PORT, Hello
from tests.process.starting import Start
from tests.process.test_disconnecting import SPINNING
from tests.process.waiting import until

HAPROXY = """
global
    maxconn 100
defaults
    mode {mode}
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend in
    bind fd@{fd}
    bind unix@{folder}/front
    default_backend out
backend out
    server hello 127.0.0.1:{to} {options}
"""
CHECKED = """check inter 50ms check-send-proxy send-proxy-v2
    timeout check 5s
    option httpchk GET /
"""  # with the command LOCAL
BEHIND = 'workers = 1\naccess_log = "access"\nproxy_protocol = true\nheader_timeout = 1\n'


FORGED: Final = b"".join(
    b"X-Forwarded-%b\r\n" % each for each in (b"For: 192.0.2.7", b"Proto: https", b"Host: evil.example")
)


@contextmanager
def haproxy(folder: Path, to: int, options: str, *, mode: str = "http") -> Iterator[int]:
    """Run a proxy in front of this port; yield the port that it listens on."""
    file = folder / "haproxy.cfg"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd, port = listener.fileno(), int(listener.getsockname()[1])
        file.write_text(HAPROXY.format(folder=folder, mode=mode, fd=fd, to=to, options=options))
        command = ["haproxy", "-db", "-f", str(file)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, pass_fds=[fd]) as process:
            try:
                until((folder / "front").exists, "HAProxy listens")
                yield port
            finally:
                process.terminate()


def client_from(address: str, port: int) -> Client:
    return Client(socket.create_connection(("127.0.0.1", port), source_address=(address, 0)))


def logged(hello: Hello) -> list[str]:
    """Return the clients of the access log, in order."""
    return [line.split()[0] for line in (hello.folder / "access").read_text().splitlines()]


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_behind_haproxy_the_client_is_logged_and_not_the_proxy(start: Start, tmp_path: Path, options: str) -> None:
    hello = start(BEHIND)
    with haproxy(tmp_path, hello.ports[0], options) as port:
        client = client_from("127.0.0.9", port)
        assert [client.ask().status for _ in range(3)] == [200] * 3
        until(lambda: len(logged(hello)) == 3, "the requests are logged")
        client.close()
    assert logged(hello) == ["127.0.0.9"] * 3


def test_the_clients_address_moves_along_when_its_worker_is_replaced(start: Start) -> None:
    hello = start(BEHIND)
    client = hello.connect()
    client.send(b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n")
    assert client.ask().status == 200
    hello.reload(BEHIND)
    assert client.ask().status == 200
    until(lambda: logged(hello) == ["192.0.2.7"] * 2, "the requests are logged")


def test_a_header_may_come_byte_by_byte_with_the_request_behind_it(start: Start) -> None:
    hello = start(BEHIND)
    client = hello.connect()
    for byte in b"PROXY TCP6 2001:db8::7 2001:db8::8 1 2\r\n" + GET:
        client.send(bytes([byte]))
    assert client.answer().status == 200
    until(lambda: logged(hello) == ["2001:db8::7"], "the requests are logged")


def test_half_a_header_does_not_make_the_worker_spin(start: Start) -> None:
    hello = start(BEHIND + 'proxy_allow_ips = ["127.0.0.1", "unix:"]', bind=(*ANY_PORT, "unix:socket"))
    halves = [hello.connect(address) for address in hello.addresses]
    for client in halves:
        client.send(b"PROXY TCP4 192.0.2.7 192.")
    assert proc.cpu_share(hello.worker_pids()) < SPINNING


def test_the_health_checks_of_haproxy_speak_for_themselves(start: Start, tmp_path: Path) -> None:
    hello = start(BEHIND)
    with haproxy(tmp_path, hello.ports[0], CHECKED) as port:
        until(lambda: logged(hello).count("127.0.0.1") > 2, "three checks")
        client = client_from("127.0.0.9", port)
        assert client.ask().status == 200
        until(lambda: "127.0.0.9" in logged(hello), "the request is logged")
        client.close()
    assert "refused" not in hello.log


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2"])
def test_a_client_of_whom_haproxy_tells_nothing_is_not_believed_what_haproxy_would_be(
    start_app: Start, tmp_path: Path, options: str
) -> None:
    start_app.files = {"application.py": Path(application.__file__).read_text()}
    app = start_app(BEHIND + 'app = "application:answer"\nforwarded_allow_ips = ["127.0.0.1"]')
    with haproxy(tmp_path, app.ports[0], options, mode="tcp"), socket.socket(socket.AF_UNIX) as by_unix_socket:
        by_unix_socket.connect(str(tmp_path / "front"))
        client = Client(by_unix_socket)
        for _ in range(3):
            told = client.ask(GET.replace(b" / ", b" /environ ").replace(b"\r\n\r\n", b"\r\n" + FORGED + b"\r\n")).body
            assert all(line in told for line in (b"REMOTE_ADDR='127.0.0.1'", b"url_scheme='http'", b"HOST='localhost'"))
        until(lambda: len(logged(app)) == 3, "the requests are logged")
    assert logged(app) == ["127.0.0.1"] * 3


@pytest.mark.parametrize("header", PROXY_HEADERS)
def test_nobody_else_can_say_who_he_is(start: Start, header: bytes) -> None:
    hello = start(BEHIND)
    stranger = client_from("127.0.0.9", hello.ports[0])
    assert stranger.ask(header + GET).status == 400
    hello.wait_for_log(
        'reason="PROXY header of an unknown proxy" count=1 last=127.0.0.9 key="proxy_protocol, proxy_allow_ips"'
    )
    stranger.close()
    honest = client_from("127.0.0.9", hello.ports[0])
    assert honest.ask().status == 200
    honest.close()
    until(lambda: logged(hello) == ["127.0.0.9"] * 2, "the requests are logged")


@pytest.mark.parametrize("sent", [GET, b"PROXY TCP4 nonsense\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x99\x11\x00\x00"])
def test_a_proxy_that_sends_no_header_is_closed_and_the_log_says_why(start: Start, sent: bytes) -> None:
    hello = start(BEHIND)
    client = hello.connect()
    client.send(sent)
    with suppress(ConnectionResetError):  # it was closed with something unread
        assert client.until_closed() == b""
    hello.wait_for_log('connections given up reason="no PROXY header, or a malformed one" count=1 last=127.0.0.1 key=')


def test_a_proxy_has_as_many_connections_as_it_wants_and_its_clients_have_not(start: Start) -> None:
    hello = start(BEHIND + "max_connections_per_client = 2\nforwarded_allow_ips = []\nhandshake_timeout = 60")
    silent = [hello.connect() for _ in range(4)]
    clients = [hello.connect() for _ in range(3)]
    header = b"PROXY TCP4 192.0.2.%d 192.0.2.8 1 2\r\n"
    assert [client.ask(header % 7 + GET).status for client in clients] == [200, 200, 503]
    assert [client.ask(header % number + GET).status for number, client in enumerate(silent)] == [200] * 4


def test_a_header_that_does_not_come_is_not_waited_for_for_ever(start: Start) -> None:
    hello = start(BEHIND + "handshake_timeout = 0.5")
    silent, half = hello.connect(), hello.connect()
    half.send(b"PROXY TCP4 192.0.2.7")
    assert (silent.until_closed(), half.until_closed()) == (b"", b"")


def test_a_proxy_that_leaves_in_the_middle_of_its_header_is_noticed(start: Start) -> None:
    hello = start(BEHIND)
    client = hello.connect()
    client.send(b"PROXY TCP4 192.0.2.7")
    client.half_close()
    assert client.until_closed() == b""


def test_over_a_unix_socket_too(start: Start) -> None:
    hello = start(BEHIND + 'proxy_allow_ips = ["unix:"]', bind=["unix:socket"])
    client = hello.connect()
    assert client.ask(b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n" + GET).status == 200
    until(lambda: logged(hello) == ["192.0.2.7"], "the requests are logged")
