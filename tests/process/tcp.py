"""The TCP sockets of the machine, asked for over netlink (sock_diag(7)).

/proc/net/tcp has the same, and the thousands of TIME_WAIT of other tests, which take it seconds on a busy machine.
"""

import socket
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from msgspec import Struct

from tests.process import proc

NETLINK_SOCK_DIAG: Final = 4  # linux/netlink.h
SOCK_DIAG_BY_FAMILY: Final = 20  # linux/sock_diag.h
REQUEST_A_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
END_OF_DUMP, ERROR = 3, 2  # NLMSG_DONE, NLMSG_ERROR

HEADER: Final = struct.Struct("=LHHLL")  # struct nlmsghdr
REQUEST: Final = struct.Struct("=BBxxL48x")  # struct inet_diag_req_v2, for any address
PORTS: Final = struct.Struct(">HH")  # the first of struct inet_diag_sockid, in the order of the network
QUEUES: Final = struct.Struct("=L4x4xL")  # the last of struct inet_diag_msg: bytes to be read, and the inode
PORTS_AT, QUEUES_AT = 4, 56


class State(IntEnum):
    """States of a connection, from the kernel's net/tcp_states.h."""

    ESTABLISHED = 1
    CLOSE_WAIT = 8
    LISTEN = 10


class Socket(Struct, frozen=True):
    """A TCP socket: `port` is its own, `unread` bytes have arrived, `name` is what leads to it in /proc/PID/fd."""

    port: int
    unread: int
    name: str


def sockets_in(state: State) -> Iterator[Socket]:
    """Yield all sockets in a state, of both versions of IP."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        for family in (socket.AF_INET, socket.AF_INET6):
            request = REQUEST.pack(family, socket.IPPROTO_TCP, 1 << state)
            kernel.send(HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, REQUEST_A_DUMP, 0, 0) + request)
            for message in _messages(kernel):
                port, _ = PORTS.unpack_from(message, PORTS_AT)
                unread, inode = QUEUES.unpack_from(message, QUEUES_AT)
                yield Socket(port, unread, f"socket:[{inode}]")


def sockets_of(port: int, state: State) -> list[Socket]:
    """Return the sockets whose own port this is and that are in this state."""
    return [each for each in sockets_in(state) if each.port == port]


def listening(pid: int) -> set[str]:
    """Return the sockets that a process holds to listen on, named as in `proc.descriptors`."""
    return {each.name for each in sockets_in(State.LISTEN)} & set(proc.descriptors(pid).values())


def _messages(kernel: socket.socket) -> Iterator[bytes]:
    """Yield what is in the messages of a dump."""
    while True:
        data = kernel.recv(64 * 1024)
        while data:
            length, kind, *_ = HEADER.unpack_from(data)
            assert kind != ERROR, "the kernel refused to tell of its sockets"
            if kind == END_OF_DUMP:
                return
            yield data[HEADER.size : length]
            data = data[length:]
