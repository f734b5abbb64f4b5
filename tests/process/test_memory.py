"""What a connection costs at worst, as README.md says it: greedy clients, as many as it takes to see one of them."""

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pytest

from tests.process import proc, tcp
from tests.process.clients import GET, Client
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.tcp import State
from tests.process.test_attacks import is_calm_again, send_most_of_a_body, send_most_of_a_head, served_meanwhile
from tests.process.test_tls import ONE
from tests.process.trust import Trust
from tests.process.waiting import until

KIB: Final = 1024
GREEDY: Final = 200  # connections
ANSWER: Final = 60 * KIB  # two are nearly twice what is enough of them
HELLO: Final = f'[hello]\nbody = "{"x" * ANSWER}"'
HEAD: Final = 32 * KIB  # limit_head
# A head that is not whole and one read, or 64 KiB of answers and one more of them, and 8 KiB besides.
LARGEST: Final = HEAD + 16 * KIB + 64 * KIB + ANSWER + 8 * KIB
LOGGED: Final = HEAD + 32 * KIB  # more, where requests are logged: their heads, until their answers are taken
SECRET: Final = 32 * KIB  # more with TLS: its state, and a record that is not whole
OPENING: Final = 64 * KIB  # of a connection that is shaking hands

HALF_A_RECORD: Final = b"\x17\x03\x03\x40\x00" + b"x" * 16_000
HALF_A_HANDSHAKE: Final = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + b"x" * 16_000
SHORT_HEAD: Final = GET.replace(b"\r\n\r\n", b"\r\nX: %b\r\n\r\n" % (b"x" * 300))

Greedy = Callable[[Client], None]


def ask_without_reading(client: Client, request: bytes = GET) -> None:
    """Ask for more than all buffers hold, for as long as somebody takes it."""
    client.socket.settimeout(0)
    with suppress(BlockingIOError, ssl.SSLWantWriteError):
        for _ in range(1000):
            client.socket.send(request * 40)


def ask_at_length_without_reading(client: Client) -> None:
    ask_without_reading(client, SHORT_HEAD)


ASKERS: Final = (ask_without_reading, ask_at_length_without_reading)


def growth(hello: Hello, connect: Callable[[], Client], greedy: Greedy) -> float:
    """Return by how many bytes a connection grows the worker, when it reads no more of them or has read all."""
    (worker,) = hello.worker_pids()
    before = proc.resident_bytes(worker)
    clients = [connect() for _ in range(GREEDY)]

    def are_stuck() -> bool:
        for client in clients if greedy in ASKERS else ():
            greedy(client)
        unread = sum(bool(each.unread) for each in tcp.sockets_of(hello.ports[0], State.ESTABLISHED))
        return unread >= GREEDY if greedy in ASKERS else not unread

    for client in clients:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        greedy(client)
    until(are_stuck, "the worker to read no more of them")
    grown = proc.resident_bytes(worker) - before
    for client in clients:
        client.close()
    return grown / GREEDY


@pytest.mark.parametrize(("log", "more"), [("off", 0), ("access", LOGGED)])
@pytest.mark.parametrize("greedy", [*ASKERS, send_most_of_a_head, send_most_of_a_body])
def test_a_connection_takes_no_more_memory_than_is_said(start: Start, greedy: Greedy, log: str, more: int) -> None:
    hello = start(f'workers = 1\naccess_log = "{log}"\n{HELLO}')
    assert hello.get().status_code == 200
    with served_meanwhile(hello):
        grown = growth(hello, hello.connect, greedy)
    seen = HEAD / 2 if greedy is send_most_of_a_head else 0  # the rest may take the place of what has been freed
    assert seen < grown < LARGEST + more
    assert is_calm_again(hello)


def send_half_a_record(client: Client) -> None:
    os.write(client.socket.fileno(), HALF_A_RECORD)


@pytest.mark.parametrize("greedy", [ask_without_reading, send_most_of_a_head, send_half_a_record])
def test_with_tls_it_takes_as_much_more_as_is_said(start: Start, trust: Trust, greedy: Greedy) -> None:
    hello = start(f"{ONE}keep_alive_timeout = 60\n{HELLO}")  # to connect them all takes its time
    first = trust.connect(hello)
    assert first.ask().status == 200
    assert growth(hello, lambda: trust.connect(hello), greedy) < LARGEST + SECRET
    first.close()
    assert is_calm_again(hello)


def test_a_handshake_takes_no_more_memory_than_is_said(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    first = trust.connect(hello)
    assert growth(hello, hello.connect, lambda client: client.send(HALF_A_HANDSHAKE)) < OPENING
    first.close()
    assert is_calm_again(hello)
