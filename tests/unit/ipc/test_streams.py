"""Numbers of standard streams that are free, as a connection comes."""

import os
import socket
from collections.abc import Iterator

import pytest

from prefork.ipc.streams import STDERR, beyond_streams
from tests.unit.descriptors import none_from


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


def test_standard_error_is_a_stream_too() -> None:
    kept = os.dup(STDERR)
    with socket.socket() as sock:
        os.dup2(sock.fileno(), STDERR)
        moved = beyond_streams(STDERR)
    os.dup2(kept, STDERR)
    assert moved > STDERR
    os.close(moved)
    os.close(kept)


@pytest.mark.usefixtures("without_stdin")
def test_a_connection_is_closed_where_there_is_no_other_number_for_it() -> None:
    connection, client = socket.socketpair()
    number = connection.detach()
    with none_from(STDERR + 1), pytest.raises(OSError, match="Too many open files"):
        beyond_streams(number)
    assert client.recv(1) == b""
    client.close()


def test_any_other_stays_as_it_is() -> None:
    with socket.socket() as sock:
        assert beyond_streams(sock.fileno()) == sock.fileno()
