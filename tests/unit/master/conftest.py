"""The fixtures of the tests of what is listened on, and of what is told to systemd."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from prefork.config.addresses import Address
from prefork.master.binding import SocketOptions, open_listeners
from prefork.master.listeners import Accept, Listeners
from tests.unit.master.listening import Open


@pytest.fixture
def hear(service_manager: socket.socket) -> Callable[[], list[str]]:
    """Return what tells what has been said since it was asked last."""

    def hear() -> list[str]:
        heard: list[str] = []
        while True:
            try:
                heard.append(service_manager.recv(4096).decode())
            except BlockingIOError:
                return heard

    return hear


@pytest.fixture
def listen() -> Iterator[Open]:
    """Open listeners as asked, and close their sockets in the end."""
    opened: list[Listeners] = []

    def listen(
        *addresses: Address,
        accept: Accept = "reuseport",
        slots: int = 1,
        previous: Listeners | None = None,
        **options: Any,  # of sockets, as SocketOptions has them
    ) -> Listeners:
        wanted = replace(SocketOptions(backlog=64), **options)
        listeners = open_listeners(addresses, wanted, accept=accept, slots=slots, previous=previous)
        opened.append(listeners)
        return listeners

    yield listen
    for listeners in opened:
        listeners.close()
