"""The unix sockets of the machine, asked for over netlink (sock_diag(7))."""

import socket
import struct
from typing import Final

from tests.process import netlink

REQUEST: Final = struct.Struct("=BxxxLLLxxxxxxxx")  # struct unix_diag_req, for any socket
MESSAGE: Final = struct.Struct("=BBBxLxxxxxxxx")  # struct unix_diag_msg
ATTRIBUTE: Final = struct.Struct("=HHL")  # struct nlattr, and the first word of what follows
ALL_STATES: Final = 0xFFFFFFFF
SHOW_PEER, PEER = 4, 2  # UDIAG_SHOW_PEER, UNIX_DIAG_PEER


def peers() -> dict[int, int]:
    """Return the inode of the other end of each socket that has one, by its own."""
    found = {}
    for message in netlink.dump(REQUEST.pack(socket.AF_UNIX, ALL_STATES, 0, SHOW_PEER)):
        *_, inode = MESSAGE.unpack_from(message)
        if len(message) >= MESSAGE.size + ATTRIBUTE.size:
            _, kind, peer = ATTRIBUTE.unpack_from(message, MESSAGE.size)
            if kind == PEER:
                found[inode] = peer
    return found
