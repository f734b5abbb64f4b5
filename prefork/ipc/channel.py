"""The messages between the master and one worker, or mold, and the socket that carries them, descriptors included.

A SOCK_SEQPACKET socketpair: a message is received whole or not at all, and the end of file tells each side that the
other is gone, however it died.
"""

import os
import select
import socket
from array import array
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct, msgpack

from prefork.ipc.streams import beyond_streams

LARGEST_MESSAGE: Final = 16 * 1024  # bytes
MOST_DESCRIPTORS: Final = 253  # SCM_MAX_FD, unix(7)
ROOM_FOR_DESCRIPTORS: Final = socket.CMSG_LEN(MOST_DESCRIPTORS * array("i").itemsize)


class Ready(Struct, frozen=True, tag=True):
    """From the worker: it serves; from the mold: it can be told to fork."""


class Failed(Struct, frozen=True, tag=True):
    """From the worker or the mold: it will never be ready, and neither would another.

    `reason` is one line, `traceback` more of them; `status` is the exit status of a service that can't start by that.
    """

    reason: str
    status: int
    traceback: tuple[str, ...] = ()


class RecycleMe(Struct, frozen=True, tag=True):
    """From the worker: it has served for long enough; `reason` says what it has reached."""

    reason: str


class Left(Struct, frozen=True, tag=True):
    """From the worker that is to leave: it accepts no more, and the connections that can move have been sent off."""


class Retire(Struct, frozen=True, tag=True):
    """From the master: stop accepting, finish, exit within `timeout` seconds.

    The ends of handovers to other workers come along, to whom connections move. Without any, each connection is closed
    with its next answer; `for_good`, because nobody comes after it, the idle ones at once.

    The master waits for Left until `left_by`, a moment of CLOCK_MONOTONIC, if at all. Later it isn't told: it may be
    one of an older version by then, to which the service was brought back, and would take that for no message.
    """

    timeout: float
    for_good: bool
    left_by: float | None = None


class Adopt(Struct, frozen=True, tag=True):
    """From the master: take over the connections that come through the handover whose end comes along."""


class Share(Struct, frozen=True, tag=True):
    """From the master: move so many idle connections, at most, through the handover whose end comes along, and stay."""

    count: int


class Listen(Struct, frozen=True, tag=True):
    """From the master: serve these listening sockets too, whose descriptors come along."""


class Reopen(Struct, frozen=True, tag=True):
    """From the master: the log files were opened afresh; their descriptors come along."""


class Fork(Struct, frozen=True, tag=True):
    """To the mold: fork a worker, whose end of its channel comes along; answered by Forked or ForkFailed."""


class Forked(Struct, frozen=True, tag=True):
    """From the mold: the worker is there, the master's child."""

    pid: Annotated[int, Meta(gt=0, lt=2**31)]  # pid_t


class ForkFailed(Struct, frozen=True, tag=True):
    """From the mold: the system refused to fork."""

    reason: str


class TakeSeat(Struct, frozen=True, tag=True):
    """From the master, the first that a worker of a mold is told: be this one.

    The descriptor for its stacks comes along, and those of its listeners.
    """

    slot: int
    row: int


FromBelow: TypeAlias = Ready | Failed | RecycleMe | Left | Forked | ForkFailed
FromMaster: TypeAlias = Retire | Adopt | Share | Listen | Reopen | Fork | TakeSeat
Message: TypeAlias = FromBelow | FromMaster

_encoder: Final = msgpack.Encoder()
_decoder: Final[msgpack.Decoder[Message]] = msgpack.Decoder(Message)


class MalformedError(Exception):
    """What was received is no message."""


class Channel:
    """One end of the socketpair; owns its descriptor, never blocks.

    `is_short` tells of the latest message received that this process has no room for all of its descriptors.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self.is_short = False
        self._socket = sock

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message with at most MOST_DESCRIPTORS; they are copied, the caller's stay open.

        Raises:
            OSError: the other side is gone (EPIPE), or has not read for long (EAGAIN).
        """
        socket.send_fds(self._socket, [_encoder.encode(message)], fds)

    def receive(self) -> tuple[Message, list[int]] | None:
        """Return the next message and the descriptors that came along, now the caller's; None at the end of file.

        Raises:
            BlockingIOError: there is none now.
            MalformedError: what came is none.
        """
        try:
            data, fds, self.is_short = receive_with_fds(self._socket, LARGEST_MESSAGE)
        except ConnectionResetError:  # it left a message of ours unread: told once, and before its own last words
            data, fds, self.is_short = receive_with_fds(self._socket, LARGEST_MESSAGE)
        if not data and self._has_ended:
            return None
        try:
            return _decoder.decode(data), fds
        except (ValueError, RecursionError):
            close_all(fds)
            raise MalformedError from None

    @property
    def _has_ended(self) -> bool:
        """Whether the other side is gone: a message of no bytes reads as the end of file does."""
        waiting = select.poll()
        waiting.register(self._socket, 0)
        return bool(waiting.poll(0))

    def close(self) -> None:
        self._socket.close()


def receive_with_fds(sock: socket.socket, size: int) -> tuple[bytes, list[int], bool]:
    """Receive a message of at most `size` bytes, and the descriptors that come along, now the caller's.

    Tells, too, whether some of these are lost because there is no room for them (MSG_CTRUNC, unix(7)).

    socket.recv_fds has no way to close them on exec: what an application runs would inherit its clients' connections.
    """
    data, ancillary, flags, _address = sock.recvmsg(size, ROOM_FOR_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    fds = array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content)
    kept = _beyond_streams(fds)
    return data, kept, bool(flags & socket.MSG_CTRUNC) or len(kept) < len(fds)


def _beyond_streams(fds: Sequence[int]) -> list[int]:
    """Return descriptors that are no streams; from the first on that there is no other number for, they are closed."""
    moved: list[int] = []
    try:
        for fd in fds:
            moved.append(beyond_streams(fd))  # noqa: PERF401 - a failure needs those before it
    except OSError:
        close_all(fds[len(moved) + 1 :])
    return moved


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors that came along with what nobody wants them for."""
    for fd in fds:
        os.close(fd)


def channel_pair() -> tuple[Channel, Channel]:
    """Return the master's and the worker's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours), Channel(theirs)
