"""Clients that take their answers slowly occupy neither the application nor much memory."""

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.apps.serving import LARGE, Serve
from tests.process import proc
from tests.process.clients import LAST_GET, Client
from tests.process.hello import Hello
from tests.process.waiting import until

APP = """
LARGE = open("large.bin", "rb").read()

def app(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Length", "2" if path == "/" else str(len(LARGE)))])
    if path == "/file":
        return environ["wsgi.file_wrapper"](open("large.bin", "rb"))
    if path == "/pieces":
        return (LARGE[start : start + 4096] for start in range(0, len(LARGE), 4096))
    return [b"ok" if path == "/" else LARGE]
"""
CLIENTS = 1000
MOST_GROWTH = 60_000 * CLIENTS  # bytes, all of which is nearly a GiB
SMALL_SEGMENT = 536  # bytes, RFC 9293 §3.7.1; keeps the kernel's buffers small


def write(folder: Path) -> None:
    folder.mkdir()
    (folder / "shop.py").write_text(APP)


def connect_slowly(site: Hello) -> Client:
    """Return a client for which the kernel keeps as little as it can."""
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sock.connect(("127.0.0.1", site.ports[0]))
    return Client(sock)


@pytest.mark.slow
@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize("path", ["/whole", "/pieces", "/file"])
def test_a_thousand_slow_downloads_keep_nobody_else_from_being_answered(serve: Serve, path: str) -> None:
    site = serve(write, "shop:app", "--workers", "1", "--threads", "1", "--max-connections-per-client", "2000")
    (worker,) = site.worker_pids()
    idle, memory = site.descriptor_count(worker), proc.resident_bytes(worker)

    def stalled() -> int:
        """Count the answers that are not all in the hands of the kernel, which would be closed after that."""
        return site.descriptor_count(worker) - idle

    with ExitStack() as stack:
        clients = [connect_slowly(site) for _ in range(CLIENTS)]
        for client in clients:
            stack.callback(client.close)
            client.send(LAST_GET.replace(b"/", path.encode(), 1))
        for client in clients:
            client.take_some(200)
        assert stalled() >= CLIENTS
        other = site.connect()
        assert [other.ask().body for _ in range(100)] == [b"ok"] * 100
        assert [site.get().text for _ in range(10)] == ["ok"] * 10
        assert stalled() >= CLIENTS
        assert proc.resident_bytes(worker) - memory < MOST_GROWTH
        for client in clients[::100]:
            assert client.answer().body == LARGE
    site.leave()
    until(lambda: stalled() <= 0, "the end of the slow connections")
