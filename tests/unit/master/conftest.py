"""The fixtures of the tests of what is told to systemd."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def service_manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Return the socket that systemd would be told at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(0)
        yield receiver


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
