"""What an application writes to the master, into the channel of its worker or its mold, harms nobody but these."""

import os
from pathlib import Path
from signal import SIGHUP
from typing import Final

import pytest

from tests.process import proc
from tests.process.clients import Client
from tests.process.hello import Hello
from tests.process.starting import RUN, Start, run
from tests.process.test_molds import mold
from tests.process.waiting import until

SHOP: Final = """
import os
import socket

def say(message):
    for fd in os.listdir("/proc/self/fd"):
        try:
            channel = socket.socket(fileno=os.dup(int(fd)))
        except OSError:
            continue
        if channel.type == socket.SOCK_SEQPACKET:
            socket.send_fds(channel, [message], [0, 0, 0])
            return

def answer(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        say(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"It works."]
"""
WITH_THE_SCOREBOARD: Final = """
import os

def answer(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    with open("/proc/self/maps") as maps:
        is_mapped = "prefork-scoreboard" in maps.read()
    is_open = any("memfd" in os.readlink(each.path) for each in os.scandir("/proc/self/fd"))
    return [f"mapped: {is_mapped}, open: {is_open}".encode()]
"""
MALFORMED: Final = {
    "no bytes": b"",
    "no message": b"GET / HTTP/1.1",
    "nested without end": b"\x82\xa4type\xa5Ready\xa1x" + b"\x91" * 15_000,
    "more than fits": bytes(20_000),
}
UNEXPECTED: Final = {
    "Ready": b"\x81\xa4type\xa5Ready",  # which it has been for long
    "Listen": b"\x81\xa4type\xa6Listen",  # what the master says
    "Forked": b"\x82\xa4type\xa6Forked\xa3pid\x01",  # what a mold says
}


def started(start_app: Start, toml: str = "") -> Hello:
    start_app.files["shop.py"] = SHOP
    return start_app(f'app = "shop:answer"\nworkers = 2\n{toml}')


def write(hello: Hello, message: bytes) -> Client:
    """Have a worker write this into its channel."""
    client = hello.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(message), message))
    return client


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
def test_a_worker_that_sends_what_is_no_message_is_replaced(start_app: Start, message: bytes) -> None:
    hello = started(start_app)
    before, held = hello.in_slots(), proc.descriptors(hello.master_pid)
    write(hello, message)
    hello.wait_for_log('reason="malformed message in its channel"')
    (victim,) = until(lambda: set(before) - hello.worker_pids(), "the end of a worker")
    named = f"slot={before.index(victim)} pid={victim} generation=1 reason="
    assert f"killing worker {named}" in hello.log
    hello.wait_for_log("worker ready", hello.wait_for_log(f"worker exited {named}"))
    assert hello.get().text == "It works."
    until(lambda: len(proc.descriptors(hello.master_pid)) == len(held), "as many descriptors as before")


@pytest.mark.parametrize("message", UNEXPECTED.values(), ids=UNEXPECTED)
def test_a_message_that_no_worker_has_for_the_master_then_is_logged(
    start_app: Start, message: bytes, request: pytest.FixtureRequest
) -> None:
    hello = started(start_app)
    before, held = hello.worker_pids(), proc.descriptors(hello.master_pid)
    assert write(hello, message).answer().status == 200
    hello.wait_for_log("unexpected message slot=")
    assert f" message={request.node.callspec.id}\n" in hello.log
    assert (hello.worker_pids(), proc.descriptors(hello.master_pid)) == (before, held)


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
def test_what_an_application_that_is_only_checked_sends_is_nothing(tmp_path: Path, message: bytes) -> None:
    (tmp_path / "shop.py").write_text(f"{SHOP}\nsay({message!r})\n")
    (tmp_path / "hello.toml").write_text('app = "shop:answer"\n')
    checked = run(Hello(tmp_path, "output"), "--check-config", command=RUN)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "hello.toml: ok\n", "")


def test_a_mold_that_sends_what_is_no_message_fails_the_reload(start_app: Start) -> None:
    hello = started(start_app, 'preload = "mold"')
    before = mold(hello)
    (hello.folder / "shop.py").write_text(f"{SHOP}\nsay(b'garbage')\nwhile True: pass\n")
    hello.signal(SIGHUP)
    hello.wait_for_log('reload failed generation=2 kept=1 reason="the mold: killed by SIGKILL"')
    assert "killing mold generation=2 pid=" in hello.log
    assert 'reason="malformed message in its channel"' in hello.log
    assert hello.get().text == "It works."
    os.kill(before, 0)


@pytest.mark.parametrize("preload", ["off", "mold"])
def test_an_application_has_no_descriptor_by_which_it_could_truncate_what_the_master_reads(
    start_app: Start, preload: str
) -> None:
    start_app.files["shop.py"] = WITH_THE_SCOREBOARD
    hello = start_app(f'app = "shop:answer"\nworkers = 1\npreload = "{preload}"')
    assert hello.get().text == "mapped: True, open: False"
