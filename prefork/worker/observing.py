"""Tells of requests: to the access log, and at log level debug each head as it came."""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

from prefork.http.forwarded import Forwarding
from prefork.http.messages import Request, Response
from prefork.http.protocol import Observe
from prefork.logs import STDERR, AccessLog, combined
from prefork.worker.opening import Peer

Observing: TypeAlias = Callable[[Peer], Observe]  # makes the observer of a connection

UNPRINTABLE: Final = re.compile(rb"[^\t\r\n -~]")


def observer(access_log: AccessLog | None, forwarding: Forwarding, *, show_heads: bool) -> Observing | None:
    """Return what makes the observer of a connection, or None when nobody looks."""
    if access_log is None and not show_heads:
        return None

    def observing(peer: Peer) -> Observe:
        def observe(head: bytes, request: Request | None, response: Response) -> None:
            if show_heads:
                show(head)
            if access_log is not None:
                client = forwarding.client(peer.address, peer.scheme, request.fields if request else ())
                access_log.add(line(client.address, head, request, response))

        return observe

    return observing


def show(head: bytes) -> None:
    """Print a head under a rule; what could drive a terminal is made harmless."""
    text = UNPRINTABLE.sub(b"?", head).replace(b"\r\n", b"\n").rstrip(b"\n")
    with suppress(OSError):
        os.write(STDERR, b"-" * 40 + b"\n" + text + b"\n")


def line(address: bytes, head: bytes, request: Request | None, response: Response) -> bytes:
    """Return the line of the access log, in the combined format; a refused request has only its first line."""
    request_line = head.lstrip(b"\r\n").partition(b"\r\n")[0]
    referer = request.field(b"referer") if request else b""
    user_agent = request.field(b"user-agent") if request else b""
    length = 0 if request and request.framing.head_only else len(response.body)
    return combined(address, time.time(), request_line, response.status, length, referer, user_agent)
