"""What is done to a service on the open Internet: it lives, serves others meanwhile, stays small, and frees all."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.process import proc
from tests.process.clients import GET, HALF_A_HEAD, Client, Load
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.test_disconnecting import SPINNING
from tests.process.waiting import LIMIT, until

KIB: Final = 1024
IDLE: Final = 4 * KIB
CROWD: Final = 10_000
SLOW_READS: Final = ("-X", "-w", "1", "-y", "1", "-n", "1", "-z", "1", "-k", "10")


@contextmanager
def served_meanwhile(hello: Hello, *, more: int = 200) -> Iterator[None]:
    """Have others ask all the time, who lose nothing, and get many answers after the block has begun."""
    with Load(hello.connect, keep_alive=1, fresh=1) as load:
        load.wait_for_more(more)
        yield
        load.wait_for_more(more)
    assert not load.lost
    assert {status for status, _ in load.answers} == {200}


def is_calm_again(hello: Hello) -> bool:
    """Tell whether nothing is left of those who came, and nobody is busy with them."""
    hello.leave()
    hello.wait_until_closed()
    pids = hello.worker_pids()
    return pids == set(hello.descriptors) and proc.cpu_share(pids) < SPINNING and "Traceback" not in hello.log


def read_nothing(client: Client) -> None:
    """Ask for more than all buffers hold, for as long as somebody takes it."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.socket.settimeout(0)
    with suppress(BlockingIOError, ConnectionError):  # its patience may be at an end already
        while True:
            client.socket.send(GET * 500)


def send_most_of_a_head(client: Client) -> None:
    client.send(b"GET / HTTP/1.1\r\n" + b"A: %b\r\n" % (b"x" * 8000) * 4)


def send_most_of_a_body(client: Client) -> None:
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"%x\r\n" % 10_000_000 + b"x" * 200_000)


@pytest.mark.slow
@pytest.mark.usefixtures("many_descriptors")
def test_ten_thousand_idle_connections_are_cheap(start: Start) -> None:
    hello = start("workers = 1\nmax_connections = 20000\nkeep_alive_timeout = 60")
    (worker,) = hello.worker_pids()
    assert hello.get().status_code == 200
    before = proc.resident_bytes(worker)
    with served_meanwhile(hello):
        for _ in range(CROWD):  # asked at once: the kernel forgets some that come faster than they are accepted
            assert hello.connect().ask().status == 200
        assert (proc.resident_bytes(worker) - before) / CROWD < IDLE
    assert proc.cpu_share([worker]) < SPINNING
    assert is_calm_again(hello)


def test_a_flood_beyond_the_backlog_is_served_in_the_end(start: Start) -> None:
    hello = start("workers = 1\nbacklog = 8\nkeep_alive_timeout = 60")
    flood = [socket.socket() for _ in range(500)]
    for sock in flood:
        sock.settimeout(0)
        with suppress(BlockingIOError):
            sock.connect(("127.0.0.1", hello.ports[0]))
    for client in map(Client, flood):
        assert client.ask().status == 200
        client.close()
    assert is_calm_again(hello)


def test_a_storm_of_resets_harms_nobody_else(start: Start) -> None:
    hello = start("workers = 2")
    with served_meanwhile(hello):
        for count in range(3000):
            client = hello.connect()
            client.send((b"", GET, GET * 100, HALF_A_HEAD)[count % 4])
            client.reset()
    assert is_calm_again(hello)


@pytest.mark.slow
@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize(
    "mode", [("-H",), ("-B",), ("-R",), SLOW_READS], ids=["slowloris", "slow body", "ranges", "slow read"]
)
def test_slowhttptest_keeps_nobody_from_being_served(start: Start, tmp_path: Path, mode: tuple[str, ...]) -> None:
    hello = start("workers = 2\nheader_timeout = 2\nbody_timeout = 2\nwrite_timeout = 2\nkeep_alive_timeout = 2")
    assert hello.get().status_code == 200
    before = {pid: proc.resident_bytes(pid) for pid in hello.worker_pids()}
    attack = ["-c", "1000", "-r", "1000", "-l", "5", "-i", "1", "-p", "2", "-u", f"http://127.0.0.1:{hello.ports[0]}/"]
    with (
        served_meanwhile(hello),
        subprocess.Popen(["slowhttptest", *mode, *attack], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as slow,
    ):
        said, _ = slow.communicate(timeout=LIMIT * 2)
    assert "Exit status" in said or "exit status" in said, said
    growth = {pid: proc.resident_bytes(pid) - before[pid] for pid in hello.worker_pids()}
    assert max(growth.values()) < 1000 * 2 * IDLE
    assert is_calm_again(hello)


def test_the_service_goes_on_after_all_its_timeouts(start: Start) -> None:
    """Whoever stops in the middle of something is let go, each within its limit, and the rest isn't touched."""
    hello = start(
        "workers = 1\nheader_timeout = 0.3\nbody_timeout = 0.3\nwrite_timeout = 0.3\nkeep_alive_timeout = 0.3"
    )
    for act in (send_most_of_a_head, send_most_of_a_body, read_nothing, lambda client: client.ask()):
        act(hello.connect())
    until(lambda: not hello.leaks(), "all of them to be let go")
    assert hello.get().status_code == 200
