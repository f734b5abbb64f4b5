"""What all unit tests share."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings

from prefork.systemd import Notifier

# An example may take as long as it likes: on a loaded machine a deadline tells of the load.
settings.register_profile("prefork", deadline=None)
settings.register_profile("smoke", deadline=None, max_examples=10)  # --hypothesis-profile=smoke
settings.load_profile("prefork")


@pytest.fixture
def service_manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Return the socket that systemd would be told at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(0)
        yield receiver


@pytest.fixture
def notifier(service_manager: socket.socket) -> Iterator[Notifier]:
    """What tells it."""
    with closing(Notifier({"NOTIFY_SOCKET": service_manager.getsockname()})) as notifier:
        yield notifier
