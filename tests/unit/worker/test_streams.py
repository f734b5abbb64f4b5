"""Numbers of standard streams that are free, as a connection comes."""

import os
import socket
from collections.abc import Iterator

import pytest

from prefork.worker.streams import STDERR, beyond_streams


@pytest.fixture
def without_stdin() -> Iterator[None]:
    kept = os.dup(0)
    os.close(0)
    yield
    os.dup2(kept, 0)
    os.close(kept)


@pytest.mark.usefixtures("without_stdin")
def test_a_connection_that_would_be_a_stream_gets_another_number_and_the_stream_leads_nowhere() -> None:
    connection = socket.socket().detach()
    identity = os.fstat(connection)
    assert connection == 0
    moved = beyond_streams(connection)
    assert moved > STDERR
    assert os.path.samestat(os.fstat(moved), identity)
    assert not os.get_inheritable(moved)
    assert os.readlink("/proc/self/fd/0") == os.devnull
    os.close(moved)


def test_any_other_stays_as_it_is() -> None:
    with socket.socket() as sock:
        assert beyond_streams(sock.fileno()) == sock.fileno()
