"""A network that is cut in the middle of an answer, in a namespace of its own: nobody says that the client is gone."""

import subprocess
import sys
from typing import Final

import pytest

from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.test_slow_readers import WITH_LARGE

NETWORK: Final = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
REFUSED: Final = subprocess.run((*NETWORK, "true"), capture_output=True, text=True, check=False).stderr
pytestmark = pytest.mark.skipif(bool(REFUSED), reason=REFUSED.strip())

CLIENT: Final = """
import socket, sys, time

sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
while sock.recv(10_000):
    print("taking", flush=True)
    time.sleep(0.02)
"""


def there(hello: Hello, *command: str) -> tuple[str, ...]:
    """Return a command as one that runs in the network of the service."""
    return ("nsenter", f"--target={hello.master_pid}", "--user", "--net", "--preserve-credentials", *command)


def test_a_client_behind_a_cut_network_is_given_up_after_tcp_user_timeout(start: Start) -> None:
    toml = "workers = 1\ntcp_user_timeout = 0.5\nwrite_timeout = 3600\nmin_data_rate = 0"
    hello = start(toml, under=(*NETWORK, *WITH_LARGE))
    command = there(hello, sys.executable, "-c", CLIENT, str(hello.ports[0]))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout
            assert client.stdout.readline() == b"taking\n"
            assert hello.leaks()
            subprocess.run(there(hello, "ip", "link", "set", "lo", "down"), check=True)
            hello.wait_until_closed()
        finally:
            client.kill()
