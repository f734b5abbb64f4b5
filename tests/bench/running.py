"""A server as a running tree of processes, from its command to its end.

It runs in a session of its own, so that Ctrl-C reaches only the benchmark, which then ends it by its pid; whatever is
left of its process group after that is killed.
"""

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from tests.bench.errors import NoFigureError
from tests.bench.servers import Server, Site

WSGI: Final = Path(__file__).parent / "wsgi"  # where the servers start, so that they find the applications
BODY: Final = b"Hello, world!"
REQUEST: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
ANY_CERTIFICATE: Final = ssl._create_unverified_context()
START_SECONDS: Final = 20
STOP_SECONDS: Final = 10
ANSWER_SECONDS: Final = 5
POLL_SECONDS: Final = 0.001


class Running(Struct, frozen=True):
    """A server that answers; `first_answer_seconds` is the time from the start of its command until it did."""

    pid: int
    port: int
    first_answer_seconds: float


@contextmanager
def running(server: Server, *, workers: int, cpus: str, tls: bool = False, app: str = "hello:app") -> Iterator[Running]:
    """Run a server on `cpus`, a list as taskset takes it, until the block ends; it may have to speak TLS.

    WSGI servers serve `app`.

    Raises:
        NoFigureError: when it doesn't answer as it should within START_SECONDS.
    """
    with TemporaryDirectory(prefix="prefork-bench-") as folder:
        site = Site(port=free_port(), workers=workers, folder=Path(folder), tls=tls, app=app)
        if tls:
            certify(site)
        log = site.folder / "log"
        command = ["taskset", "-c", cpus, *server.command(site)]
        begin = time.monotonic()
        process = start(command, log)
        try:
            wait_for_answer(process, site, log)
            yield Running(process.pid, site.port, time.monotonic() - begin)
        finally:
            end(process)


def certify(site: Site) -> None:
    """Give the site a certificate of the kind that is usual now, ECDSA on P-256."""
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    files = ["-keyout", str(site.key), "-out", str(site.certificate)]
    subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start the command as the leader of a session, with its output in `log`."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=WSGI, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def wait_for_answer(process: subprocess.Popen[bytes], site: Site, log: Path) -> None:
    """Ask until the server answers; one that can't be reached yet is asked again, a wrong answer is final."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(ConnectionError, TimeoutError):
            return check(site.port, tls=site.tls)
        if has_ended(process):
            said = log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise NoFigureError(f"it ended at its start: {said}")
        time.sleep(POLL_SECONDS)
    raise NoFigureError(f"no answer within {START_SECONDS} s")


def check(port: int, requests: int = 1, *, tls: bool = False) -> None:
    """Send so many requests at once on one connection, the last with `Connection: close`, and read the answers.

    Raises:
        NoFigureError: when they aren't that many times 200 with the 13 bytes within ANSWER_SECONDS.
        ConnectionError, TimeoutError: when the server can't be reached.
    """
    received = b""
    # From another address: a port of the ephemeral range that nobody listens on yet may else be connected to itself.
    source = ("127.0.0.2", 0)
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS, source_address=source) as plain:
        connection = ANY_CERTIFICATE.wrap_socket(plain) if tls else plain
        connection.sendall(REQUEST * (requests - 1) + LAST_REQUEST)
        with suppress(TimeoutError):
            while data := connection.recv(65536):
                received += data
    right = min(received.count(b"HTTP/1.1 200 "), received.count(b"\r\n\r\n" + BODY))
    if right != requests or not received.endswith(BODY):
        raise NoFigureError(
            f"of {requests} requests sent at once {right} were answered as they should: {received[:40]!r}"
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to stop, kill what is left of its process group after STOP_SECONDS, and reap it."""
    os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    try:
        while not has_ended(process) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    finally:
        # Not reaped before: as long as the leader is at least a zombie, no stranger can have the group's number.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether the process has ended, and leave it a zombie; Popen's own ways would reap it."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
