"""Parts of files on their way into a socket, and connections that are cut."""

import errno
import os
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from prefork.http.answers import File
from prefork.worker.sending import MOST_AT_ONCE, MOST_ENCRYPTED, MUCH, reset, send_file, untaken
from tests.unit.worker.test_connection import tcp_pair

CONTENT = os.urandom(100_000)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(CONTENT)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_part_is_sent_as_the_peer_takes_it(pair: Pair, fd: int, *, encrypted: bool) -> None:
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    file, received, waits = File(fd, 1000, 98_000), b"", 0
    while file.left:
        before = file.left
        try:
            sent = send_file(ours, file, encrypted=encrypted)
            assert (before - file.left, file.offset) == (sent, 99_000 - file.left)
        except BlockingIOError:
            waits += 1
            assert file.left == before
            received += theirs.recv(5000)
    ours.shutdown(socket.SHUT_WR)
    while more := theirs.recv(1 << 20):
        received += more
    assert received == CONTENT[1000:99_000]
    assert waits > 1


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_descriptor_keeps_its_place(pair: Pair, fd: int, *, encrypted: bool) -> None:
    send_file(pair[0], File(fd, 5, 10), encrypted=encrypted)
    assert pair[1].recv(100) == CONTENT[5:15]
    assert os.lseek(fd, 0, os.SEEK_CUR) == 0


@pytest.mark.parametrize("encrypted", [False, True])
def test_beyond_the_end_of_a_file_nothing_is_sent(pair: Pair, fd: int, *, encrypted: bool) -> None:
    file = File(fd, len(CONTENT), 1)
    assert send_file(pair[0], file, encrypted=encrypted) == 0
    assert (file.left, file.problem) == (1, "it has become shorter")


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_is_wrong_with_a_file_is_noted(pair: Pair, tmp_path: Path, *, encrypted: bool) -> None:
    (tmp_path / "unreadable").write_bytes(CONTENT)
    with (tmp_path / "unreadable").open("ab") as unreadable:
        file = File(unreadable.fileno(), 0, 1)
        with pytest.raises(OSError, match="Bad file descriptor"):
            send_file(pair[0], file, encrypted=encrypted)
    assert (file.left, file.problem) == (1, "Bad file descriptor")


@pytest.mark.parametrize("encrypted", [False, True])
def test_who_is_gone_is_noticed(pair: Pair, fd: int, *, encrypted: bool) -> None:
    pair[1].close()
    file = File(fd, 0, 100)
    with pytest.raises(BrokenPipeError):
        send_file(pair[0], file, encrypted=encrypted)
    assert file.problem == ""


def test_what_is_wrong_with_tls_is_not_the_files(fd: int) -> None:
    class Tls(socket.socket):
        def send(self, data: object, flags: int = 0, /) -> NoReturn:
            raise ssl.SSLSyscallError(errno.EIO, "EOF occurred")

    file = File(fd, 0, 100)
    with Tls() as tls, pytest.raises(ssl.SSLSyscallError):
        send_file(tls, file, encrypted=True)
    assert file.problem == ""


@pytest.mark.parametrize(("encrypted", "most"), [(False, MOST_AT_ONCE), (True, MOST_ENCRYPTED)])
def test_no_more_than_so_much_is_sent_at_once(pair: Pair, tmp_path: Path, most: int, *, encrypted: bool) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 100_000_000)
    with path.open("rb") as sparse:
        assert 0 < send_file(pair[0], File(sparse.fileno(), 0, 100_000_000), encrypted=encrypted) <= most


def test_more_of_a_file_is_taken_than_of_other_answers(tmp_path: Path) -> None:
    lowat = (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)

    def taken(send: Callable[[socket.socket, File], int]) -> int:
        ours, theirs = tcp_pair()
        with ours, theirs, (tmp_path / "sparse").open("wb+") as sparse:
            sparse.truncate(MOST_AT_ONCE)
            ours.settimeout(0)
            ours.setsockopt(*lowat, 50_000)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_AT_ONCE)
            size = send(ours, File(sparse.fileno(), 0, MOST_AT_ONCE))
            assert ours.getsockopt(*lowat) == 50_000
        return size

    def send_plainly(sock: socket.socket, file: File) -> int:
        return os.sendfile(sock.fileno(), file.fd, file.offset, file.left)

    assert taken(partial(send_file, encrypted=False)) > taken(send_plainly)


def test_nothing_is_sent_of_what_follows_a_large_part_of_a_file(tmp_path: Path) -> None:
    ours, theirs = tcp_pair()
    theirs.settimeout(5)
    with ours, theirs, (tmp_path / "sparse").open("wb+") as sparse:
        sparse.truncate(MOST_AT_ONCE)
        file = File(sparse.fileno(), 0, MUCH + 1)
        sent = 0
        while file.left > 0:
            sent += send_file(ours, file, encrypted=False)
            while sent > 0:
                sent -= len(theirs.recv(sent))
        assert (sent, file.left, file.offset) == (0, 0, MUCH + 1)


@pytest.mark.parametrize("pair_of", [tcp_pair, socket.socketpair])
def test_the_kernel_tells_what_the_peer_has_not_taken(pair_of: Callable[[], Pair]) -> None:
    ours, theirs = pair_of()
    ours.settimeout(0)
    theirs.settimeout(5)
    with ours, theirs:
        assert untaken(ours) == 0
        sent = 0
        with suppress(BlockingIOError):
            while True:
                sent += ours.send(CONTENT)
        assert untaken(ours) > 0
        while sent:
            sent -= len(theirs.recv(1 << 16))
        theirs.send(b"all is here")  # which tells it of all that was taken
        ours.settimeout(5)
        ours.recv(100)
        assert untaken(ours) == 0


class EarlyMultipath(socket.socket):
    """A socket of MPTCP as it is before Linux 6.9, which knows few options of TCP."""

    def getsockopt(self, *_option: int) -> NoReturn:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")


def test_a_large_file_is_sent_over_a_socket_without_the_options_of_tcp(fd: int) -> None:
    plain, theirs = tcp_pair()
    ours = EarlyMultipath(plain.family, plain.type, socket.IPPROTO_MPTCP, plain.detach())
    ours.settimeout(0)
    with ours, theirs:
        assert send_file(ours, File(fd, 0, MUCH + 1), encrypted=False) > 0


def test_a_reset_tells_the_peer_that_it_has_not_got_all() -> None:
    ours, theirs = tcp_pair()
    with theirs:
        theirs.settimeout(5)
        ours.send(b"the beginning")
        reset(ours)
        assert ours.fileno() == -1
        assert select.select([theirs], [], [], 5)[0]
        assert theirs.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
