"""The fixtures of the tests of what is told to systemd."""

import socket
from collections.abc import Callable

import pytest


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
