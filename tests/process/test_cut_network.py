"""A network that is cut in the middle of an answer, in a namespace of its own: nobody says that the client is gone."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.process import large
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.test_slow_readers import WITH_LARGE
from tests.process.waiting import LIMIT

NETWORK: Final = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
REFUSED: Final = subprocess.run((*NETWORK, "true"), capture_output=True, text=True, check=False).stderr
pytestmark = pytest.mark.skipif(bool(REFUSED), reason=REFUSED.strip())

# Takes an answer slowly, until it is told to go on, and tells when it has so much of it.
CLIENT: Final = """
import select, socket, sys, time

sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
taken = 0
while data := sock.recv(10_000):
    taken += len(data)
    if taken >= int(sys.argv[2]):
        print("whole", flush=True)
        break
    print("taking", flush=True)
    if not select.select([sys.stdin], [], [], 0)[0]:
        time.sleep(0.02)
"""


def there(hello: Hello, *command: str) -> tuple[str, ...]:
    """Return a command as one that runs in the network of the service."""
    return ("nsenter", f"--target={hello.master_pid}", "--user", "--net", "--preserve-credentials", *command)


def test_a_client_behind_a_cut_network_is_given_up_after_tcp_user_timeout(start: Start) -> None:
    toml = "workers = 1\ntcp_user_timeout = 0.5\nwrite_timeout = 3600\nmin_data_rate = 0"
    with downloading(start(toml, under=(*NETWORK, *WITH_LARGE))) as (hello, _client):
        cut(hello)
        hello.wait_until_closed()


def test_a_client_behind_a_network_that_is_there_again_in_time_gets_it_all(start: Start) -> None:
    toml = "workers = 1\ntcp_user_timeout = 60\nwrite_timeout = 3600\nmin_data_rate = 0"
    with downloading(start(toml, under=(*NETWORK, *WITH_LARGE))) as (hello, client):
        cut(hello)
        time.sleep(1)  # not a wait: what lasts
        subprocess.run(there(hello, "ip", "link", "set", "lo", "up"), check=True)
        assert hello.leaks()
        told, _ = client.communicate(b"go on", timeout=LIMIT)
        assert told.endswith(b"whole\n")


@contextmanager
def downloading(hello: Hello) -> Iterator[tuple[Hello, subprocess.Popen[bytes]]]:
    """Have a client take an answer, of which it gets no end while the block lasts unless it is told to go on."""
    command = there(hello, sys.executable, "-c", CLIENT, str(hello.ports[0]), str(large.SIZE))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout
            assert client.stdout.readline() == b"taking\n"
            assert hello.leaks()
            yield hello, client
        finally:
            client.kill()


def cut(hello: Hello) -> None:
    subprocess.run(there(hello, "ip", "link", "set", "lo", "down"), check=True)
