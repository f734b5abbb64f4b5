"""Moves connections from one worker to another, through a socketpair that the master gave to both.

A connection is a descriptor and a parcel, opaque here. Sending copies the descriptor; data that arrives meanwhile waits
in the kernel's buffer of the socket, which both share.
"""

import socket
from collections.abc import Sequence
from typing import Final

from msgspec import msgpack

from prefork.ipc.channel import receive_with_fds

MOST_AT_ONCE: Final = 64  # connections a message, below MOST_DESCRIPTORS
LARGEST_PARCEL: Final = 128 * 1024  # bytes: an answer of 64 KiB, and what was read behind its request
LARGEST_MESSAGE: Final = LARGEST_PARCEL + MOST_AT_ONCE * 1024

_encode: Final = msgpack.Encoder().encode
_decode: Final = msgpack.Decoder(list[bytes]).decode

Moving = tuple[bytes, int]


class Handover:
    """One end; owns its descriptor, never blocks."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self._socket = sock

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, moving: Sequence[Moving]) -> int:
        """Send the first of these, at least one, and return how many; their descriptors may be closed then.

        Raises:
            BlockingIOError: the receiver is behind.
            OSError: it is gone.
        """
        count = fitting(moving)
        socket.send_fds(
            self._socket, [_encode([parcel for parcel, _ in moving[:count]])], [fd for _, fd in moving[:count]]
        )
        return count

    def receive(self) -> tuple[list[bytes], list[int]]:
        """Return the parcels and descriptors of the next message, now the caller's; none at the end.

        There are fewer descriptors than parcels when the process has none left.

        Raises:
            BlockingIOError: there is no message now.
        """
        data, fds, _is_short = receive_with_fds(self._socket, LARGEST_MESSAGE)
        return (_decode(data), fds) if data else ([], [])

    def close(self) -> None:
        self._socket.close()


def fitting(moving: Sequence[Moving]) -> int:
    """Return how many of these fit into a message, at least one."""
    size = 0
    for count, (parcel, _) in enumerate(moving[:MOST_AT_ONCE]):
        size += len(parcel)
        if count and size > LARGEST_PARCEL:
            return count
    return min(len(moving), MOST_AT_ONCE)


def handover_pair() -> tuple[socket.socket, socket.socket]:
    """Return the sender's and the receiver's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST_MESSAGE)  # else a larger one is refused (EMSGSIZE)
    return ours, theirs
