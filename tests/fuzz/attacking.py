"""Sends mutated requests to a running service, and finds what has become of it."""

import re
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Final

from msgspec import Struct, field

from tests.fuzz.mutating import pieces, stream
from tests.process.clients import RESET_ON_CLOSE
from tests.process.hello import Hello

CONFIGURATION: Final = """
workers = 2
header_timeout = "2s"
body_timeout = "2s"
keep_alive_timeout = "2s"
"""
PATIENCE: Final = 10.0  # seconds without an answer or a close, which no timeout of the service allows
CHECKED_EVERY: Final = 500  # connections
MOST_PROBLEMS: Final = 10
STATUS: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


class Findings(Struct):
    """How many connections there were, the statuses of their answers, and what was wrong."""

    connections: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def attack(hello: Hello, goes_on: Callable[[Findings], bool], *, seed: int) -> Findings:
    """Attack for as long as it is to go on, or until too much is wrong."""
    findings, random = Findings(), Random(seed)
    workers = hello.worker_pids()
    while goes_on(findings) and len(findings.problems) < MOST_PROBLEMS:
        made = stream(random)
        try:
            said = converse(hello, pieces(made, random), random)
        except TimeoutError:
            findings.problems.append(f"no answer and no close after {made!r}")
        else:
            findings.statuses.update(int(status) for status in STATUS.findall(said))
            if said and not STATUS.match(said):
                findings.problems.append(f"{said[:80]!r} after {made!r}")
        findings.connections += 1
        if findings.connections % CHECKED_EVERY == 0:
            findings.problems += unwell(hello, workers)
    hello.leave()
    findings.problems += unwell(hello, workers)
    with suppress(AssertionError):
        hello.wait_until_closed()
    findings.problems += hello.leaks()
    return findings


def converse(hello: Hello, said: list[bytes], random: Random) -> bytes:
    """Say the pieces on a new connection, end it in one of three ways, and return all that was answered."""
    host, _, port = hello.addresses[0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as sock:
        answered = b""
        try:
            for piece in said:
                sock.sendall(piece)
            way = random.randrange(10)
            if way == 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            if way <= 1:
                return answered
            sock.shutdown(socket.SHUT_WR)
            while data := sock.recv(64 * 1024):
                answered += data
        except TimeoutError:
            raise
        except OSError:
            pass  # reset: more was sent than is read after the last answer
        return answered


def unwell(hello: Hello, workers: set[int]) -> list[str]:
    """Tell what is wrong with the service."""
    problems = []
    if hello.worker_pids() != workers:
        problems.append(f"workers were {workers} and are {hello.worker_pids()}")
    if "Traceback" in hello.log:
        problems.append("there is a traceback in the log")
    client = hello.connect()
    if client.ask().status != 200:
        problems.append("a good request is not answered with 200")
    hello.leave()
    return problems
