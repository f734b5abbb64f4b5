"""Clients that don't read: their answers wait, and cost no more than they should."""

import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGHUP
from typing import Final

import pytest

from prefork.master.binding import MOST_NOT_SENT
from tests.process import large, proc, tcp
from tests.process.clients import GET, LAST_GET, READ_SIZE, Client
from tests.process.hello import ANY_PORT, Hello, connected
from tests.process.starting import Start
from tests.process.tcp import State
from tests.process.waiting import until

BODY = "0123456789" * 100
REQUESTS = 40_000  # some 45 MB of answers: more than any socket buffer takes
MOST_GROWTH = 16 * 1024 * 1024
LARGE_BODY = "0123456789" * 6000
PADDED_GET = GET.replace(
    b"\r\n\r\n", b"\r\nX-Padding: " + b"x" * 16_384 + b"\r\n\r\n"
)  # so that no two are read at once
SMALL_SEGMENT = 536  # bytes, RFC 9293 §3.7.1; keeps the kernel's buffers small


def send_without_reading(client: Client) -> threading.Thread:
    """Send more requests than can be answered to a client that doesn't read; the thread may be stuck until it does."""

    def send() -> None:
        with suppress(ConnectionError):  # the server may lose patience
            client.send(GET * REQUESTS)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def wait_until_reading_stops(hello: Hello) -> None:
    until(lambda: any(each.unread for each in tcp.sockets_of(hello.ports[0], State.ESTABLISHED)), "unread requests")


def test_answers_to_a_pipelined_batch_wait_for_a_slow_reader_and_none_is_lost(start: Start) -> None:
    hello = start(f'workers = 1\n[hello]\nbody = "{BODY}"')
    (worker,) = hello.worker_pids()
    before = proc.resident_bytes(worker)
    client = hello.connect()
    client.socket.settimeout(None)  # it sends for as long as it takes the answers
    sender = send_without_reading(client)
    wait_until_reading_stops(hello)
    assert hello.get().status_code == 200  # the others are served meanwhile
    assert proc.cpu_share([worker]) < 0.2
    assert all(client.answer().body == BODY.encode() for _ in range(REQUESTS))
    sender.join()
    assert client.ask().status == 200
    assert proc.resident_bytes(worker) - before < MOST_GROWTH


def test_a_client_that_reads_nothing_is_closed_after_write_timeout(start: Start) -> None:
    hello = start(f'workers = 1\nwrite_timeout = 1\nheader_timeout = 60\n[hello]\nbody = "{BODY}"')
    client = hello.connect()
    sender = send_without_reading(client)
    wait_until_reading_stops(hello)
    hello.wait_until_closed()
    sender.join()


WITH_LARGE: Final = (sys.executable, str(Path(large.__file__)))
BITE: Final = 20_000  # bytes every 20 ms: less than the fastest of min_data_rate, enough for any timeout


def test_who_takes_a_little_again_and_again_is_closed_below_min_data_rate(start: Start) -> None:
    hello = start('workers = 1\nwrite_timeout = 0.6\nmin_data_rate = "1m"', under=WITH_LARGE)
    client = hello.connect()
    client.send(GET)
    taken = taken_in_bites(client, large.SIZE, BITE // 2)
    assert taken < large.SIZE
    hello.wait_until_closed()


def test_who_takes_a_little_again_and_again_may_go_on_above_min_data_rate(start: Start) -> None:
    hello = start("workers = 1\nwrite_timeout = 2\nmin_data_rate = 1000", under=WITH_LARGE)
    client = hello.connect()
    client.send(GET)
    enough = 3_000_000  # at this pace, more than its timeout takes
    assert taken_in_bites(client, enough) >= enough
    assert len(client.answer().body) == large.SIZE


FILE_SIZE: Final = 4 * 1024 * 1024
APPLICATION: Final = f"""
import tempfile

def application(environ, start_response):
    file = tempfile.TemporaryFile()
    file.truncate({FILE_SIZE})
    start_response("200 OK", [("Content-Length", "{FILE_SIZE}")])
    return environ["wsgi.file_wrapper"](file)
"""


def ask_for_file(start_app: Start, toml: str) -> Client:
    """Return a client that has asked for a file, of which its own kernel keeps little for it."""
    start_app.files = {"files.py": APPLICATION}
    hello = start_app(f'app = "files"\nworkers = 1\nwrite_timeout = 1\n{toml}')
    client = hello.connect()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_SIZE)
    client.send(GET)
    return client


@pytest.mark.parametrize("min_data_rate", [0, 1000])
def test_who_takes_longer_than_write_timeout_for_what_the_kernel_has_of_a_file_gets_it_whole(
    start_app: Start, min_data_rate: int
) -> None:
    client = ask_for_file(start_app, f"min_data_rate = {min_data_rate}")
    assert taken_in_bites(client, FILE_SIZE) >= FILE_SIZE  # at this pace 2 MiB, which it has at once, take two seconds
    assert len(client.answer().body) == FILE_SIZE


def test_who_takes_nothing_more_of_a_file_is_closed_after_write_timeout(start_app: Start) -> None:
    client = ask_for_file(start_app, "")
    taken_in_bites(client, FILE_SIZE // 8)
    until(lambda: client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "a reset")


def test_who_takes_less_than_min_data_rate_of_what_the_kernel_has_of_a_file_is_closed(start_app: Start) -> None:
    client = ask_for_file(start_app, 'min_data_rate = "1m"')
    assert taken_in_bites(client, FILE_SIZE, BITE // 4) < FILE_SIZE


def test_who_takes_nothing_for_a_while_within_write_timeout_gets_it_all_whatever_the_other_timeouts_are(
    start: Start,
) -> None:
    others = ("keep_alive_timeout", "header_timeout", "body_timeout", "handshake_timeout")
    toml = "".join(f'{each} = "100ms"\n' for each in others)
    hello = start(f'workers = 1\nwrite_timeout = "1m"\n{toml}', under=WITH_LARGE)
    client = hello.connect()
    client.send(GET)
    time.sleep(1)  # not a wait: what the client takes
    assert len(client.answer().body) == large.SIZE


def taken_in_bites(client: Client, enough: int, bite: int = BITE) -> int:
    """Take an answer little by little, until it is enough or the server has closed; return how much came."""
    taken = 0
    with suppress(ConnectionResetError):
        while taken < enough and (came := client.take_some(bite)):
            taken += came
            time.sleep(0.02)  # not a wait: the pace
    return taken


def test_the_kernel_keeps_little_of_what_nobody_reads(start: Start) -> None:
    hello = start("workers = 1", under=WITH_LARGE)
    client = hello.connect()
    client.send(GET)
    (served,) = until(lambda: [each for each in of_service(hello) if each.unsent > MOST_NOT_SENT / 2], "an answer")
    assert served.unsent < MOST_NOT_SENT * 2
    assert len(client.answer().body) == large.SIZE


def of_service(hello: Hello) -> list[tcp.Socket]:
    return tcp.sockets_of(hello.ports[0], State.ESTABLISHED)


def connect_slowly(hello: Hello) -> Client:
    """Return a client for which the kernel keeps as little as it can."""
    if hello.ports:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.connect(("127.0.0.1", hello.ports[0]))
        return Client(sock)
    return Client(connected(hello.addresses[0], hello.folder))


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
@pytest.mark.parametrize("bind", [ANY_PORT, ["unix:hello.sock"]], ids=["TCP", "unix"])
def test_slow_readers_get_their_answers_whole_while_reload_follows_reload(
    start: Start, bind: Sequence[str], accept: str
) -> None:
    toml = f'workers = 2\nlimit_field = "32k"\naccept = "{accept}"\n[hello]\nbody = "{LARGE_BODY}"'
    hello = start(toml, bind=bind)
    clients = [connect_slowly(hello) for _ in range(8)]
    for client in clients:
        client.send(PADDED_GET * 5 + LAST_GET)
        client.take_some()
    for _ in range(10):
        hello.signal(SIGHUP)
        time.sleep(0.05)  # not a wait: the distance of the reloads
        for client in clients:
            client.take_some()
    hello.wait_for_workers(2, without=hello.descriptors)
    for client in clients:
        assert [client.answer().body for _ in range(6)] == [LARGE_BODY.encode()] * 6
        assert client.until_closed() == b""
        client.close()
    assert "killing worker" not in hello.log
