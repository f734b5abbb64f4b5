"""The TCP sockets of the machine, asked for over netlink (sock_diag(7)).

/proc/net/tcp has the same, and the thousands of TIME_WAIT of other tests, which take it seconds on a busy machine.
"""

import socket
import struct
from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import Final

from msgspec import Struct

from tests.process import netlink, proc

REQUEST: Final = struct.Struct("=BBxxL48x")  # struct inet_diag_req_v2, for any address
PORTS: Final = struct.Struct(">HH")  # the first of struct inet_diag_sockid, in the order of the network
QUEUES: Final = struct.Struct(
    "=LL4xL"
)  # the last of struct inet_diag_msg: bytes to be read and to be sent, and the inode
PORTS_AT, HOST_AT, QUEUES_AT = 4, 8, 56
HOST_BYTES: Final = {socket.AF_INET: 4, socket.AF_INET6: 16}


class State(IntEnum):
    """States of a connection, from the kernel's net/tcp_states.h."""

    ESTABLISHED = 1
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11


class Socket(Struct, frozen=True):
    """A TCP socket between two ports, the first of this `host`.

    `unread` bytes have arrived, `unsent` are not acknowledged; `name` is what leads to it in /proc/PID/fd.
    """

    host: str
    port: int
    peer_port: int
    unread: int
    unsent: int
    name: str

    @property
    def address(self) -> str:
        """Where it is bound, as the log has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def sockets_in(*states: State, families: Collection[socket.AddressFamily] = tuple(HOST_BYTES)) -> Iterator[Socket]:
    """Yield all sockets in one of the states; the kernel takes 20 ms to look through those of a family."""
    wanted = sum(1 << each for each in states)
    for family in families:
        for message in netlink.dump(REQUEST.pack(family, socket.IPPROTO_TCP, wanted)):
            port, peer_port = PORTS.unpack_from(message, PORTS_AT)
            unread, unsent, inode = QUEUES.unpack_from(message, QUEUES_AT)
            host = socket.inet_ntop(family, message[HOST_AT : HOST_AT + HOST_BYTES[family]])
            yield Socket(host, port, peer_port, unread, unsent, f"socket:[{inode}]")


def sockets_of(port: int, state: State) -> list[Socket]:
    """Return the sockets whose own port this is and that are in this state."""
    return [each for each in sockets_in(state) if each.port == port]


def listening(pid: int) -> set[str]:
    """Return the sockets that a process holds to listen on, named as in `proc.descriptors`."""
    return {each.name for each in sockets_in(State.LISTEN)} & set(proc.descriptors(pid).values())
