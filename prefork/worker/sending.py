"""Sends parts of files, which the kernel does by itself unless they are encrypted; and cuts off what is not whole."""

import os
import socket
import struct
import termios
from errno import EBADF, EINVAL, EIO, ENOMEM, EOVERFLOW, ESTALE
from fcntl import ioctl
from typing import Final

from prefork.http.answers import File

MOST_AT_ONCE: Final = 2 * 1024 * 1024  # bytes; bounds for how long one client makes the others wait
MUCH: Final = 128 * 1024  # bytes
UNBOUNDED: Final = 2**31 - 1
OF_TCP: Final = frozenset({0, socket.IPPROTO_TCP})  # MPTCP knows TCP_NOTSENT_LOWAT only since Linux 6.9
MOST_ENCRYPTED: Final = 64 * 1024  # bytes
OF_FILES: Final = frozenset({EBADF, EINVAL, EIO, ENOMEM, EOVERFLOW, ESTALE})  # sendfile(2), pread(2)
INT: Final = struct.Struct("i")


def send_file(sock: socket.SocketType, file: File, *, encrypted: bool) -> int:
    """Send some of a file and return how many bytes; 0 where it is shorter than was said.

    Raises:
        BlockingIOError: the peer has to take more first.
        OSError: the peer is gone, or the file can't be read, which is noted as its problem.
    """
    try:
        sent = _send(sock, file, encrypted=encrypted)
    except OSError as error:
        if type(error) is OSError and error.errno in OF_FILES:  # those of TLS have numbers of their own
            file.problem = os.strerror(error.errno)
        raise
    if not sent:
        file.problem = "it has become shorter"
    file.offset += sent
    file.left -= sent
    return sent


def _send(sock: socket.SocketType, file: File, *, encrypted: bool) -> int:
    if encrypted:
        piece = os.pread(file.fd, min(file.left, MOST_ENCRYPTED), file.offset)
        return sock.send(piece) if piece else 0
    if file.left > MUCH and sock.family != socket.AF_UNIX and sock.proto in OF_TCP:
        return _send_much(sock, file)
    return os.sendfile(sock.fileno(), file.fd, file.offset, min(file.left, MOST_AT_ONCE))


def _send_much(sock: socket.SocketType, file: File) -> int:
    """Let the kernel take more than of other answers: of a file it keeps pages that it has anyway (15 % less CPU)."""
    lowat = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNBOUNDED)
    try:
        return os.sendfile(sock.fileno(), file.fd, file.offset, min(file.left, MOST_AT_ONCE))
    finally:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, lowat)


def untaken(sock: socket.SocketType) -> int:
    """Return how many bytes the kernel has that the peer has not taken (SIOCOUTQ, tcp(7)); more of a unix socket."""
    left: int
    (left,) = INT.unpack(ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(INT.size)))
    return left


def reset(sock: socket.SocketType) -> None:
    """Close so that the peer learns that some is missing, whatever it got: by a RST, without the goodbye of TLS."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(sock.detach())
