"""Asks the kernel for all sockets of a family (sock_diag(7))."""

import socket
import struct
from collections.abc import Iterator
from typing import Final

NETLINK_SOCK_DIAG: Final = 4  # linux/netlink.h
SOCK_DIAG_BY_FAMILY: Final = 20  # linux/sock_diag.h
REQUEST_A_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
END_OF_DUMP, ERROR = 3, 2  # NLMSG_DONE, NLMSG_ERROR

HEADER: Final = struct.Struct("=LHHLL")  # struct nlmsghdr


def dump(request: bytes) -> Iterator[bytes]:
    """Yield what the kernel answers, a message a socket; the first byte of the request is the family."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, REQUEST_A_DUMP, 0, 0) + request)
        while True:
            data = kernel.recv(64 * 1024)
            while data:
                length, kind, *_ = HEADER.unpack_from(data)
                assert kind != ERROR, "the kernel refused to tell of its sockets"
                if kind == END_OF_DUMP:
                    return
                yield data[HEADER.size : length]
                data = data[length:]
