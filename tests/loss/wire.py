"""One connection of a client, as bytes: what is sent, the answers that are read, and how it ends.

A socket and not a stream of asyncio: only the kernel can tell whether the server had closed before a request was sent,
and that is the difference between an idle connection that was closed and a request that was lost.
"""

import asyncio
import os
import re
import socket
from contextlib import suppress
from typing import Final

from msgspec import Struct

ANSWER_SECONDS: Final = 30.0  # how long to wait for bytes; a server that sends none for so long has lost the request
LONGEST_HEAD: Final = 64 * 1024  # bytes
# A port of the ephemeral range that nobody listens on any more may be connected to itself, but not from this address.
SOURCE: Final = ("127.0.0.2", 0)
SMALL_SEGMENT: Final = 536  # bytes, RFC 9293 §3.7.1; keeps the buffers small that the kernel gives a connection
END_OF_HEAD: Final = b"\r\n\r\n"
STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ").match
LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE).search
CLOSE: Final = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE).search

Address = str | tuple[str, int]  # the path of a unix socket, or host and port


class EndedError(Exception):
    """The connection ended before the answer did; `begun` tells whether any of it had come."""

    def __init__(self, reason: str, *, begun: bool) -> None:
        super().__init__(reason)
        self.begun = begun


class MalformedError(Exception):
    """What came is no answer."""


class Answer(Struct, frozen=True):
    """One response; `is_last` tells whether it announces the end of the connection."""

    status: int
    body: bytes
    is_last: bool


class Wire:
    """A connection; reads at most `read_size` bytes every `read_pause` seconds. Owns the socket.

    `unread` has come and is of no answer that was read. `name` tells the connection from all others that are open, and
    is what the kernel tells the server's side about it: the port, or the inode of the socket.
    """

    def __init__(self, sock: socket.socket, *, read_size: int = LONGEST_HEAD, read_pause: float = 0.0) -> None:
        self._socket = sock
        self._read_size = read_size
        self._read_pause = read_pause
        self.unread = b""
        is_unix = sock.family is socket.AF_UNIX
        self.name = f"unix:{os.fstat(sock.fileno()).st_ino}" if is_unix else f"tcp:{sock.getsockname()[1]}"

    @property
    def has_ended(self) -> bool:
        """Whether the server has closed the connection or broken it off."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def send(self, data: bytes) -> None:
        """Send; a server that no longer takes it may have answered before, which reading will tell."""
        with suppress(OSError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def answer(self, *, to_head: bool = False) -> Answer:
        """Read the next answer; that to a HEAD request has no body.

        Raises:
            EndedError: the connection ended, or nothing came for ANSWER_SECONDS.
            MalformedError: it is no answer with a Content-Length.
        """
        while END_OF_HEAD not in self.unread:
            if len(self.unread) > LONGEST_HEAD:
                raise MalformedError(f"no end of a head after {self.unread[:80]!r}")
            await self._read()
        length = self.unread.index(END_OF_HEAD) + len(END_OF_HEAD)
        head = self.unread[:length]
        status, body_length = STATUS(head), LENGTH(head)
        if status is None or body_length is None:
            raise MalformedError(repr(head[:80]))
        whole = length if to_head else length + int(body_length[1])
        while len(self.unread) < whole:
            await self._read()
        body, self.unread = self.unread[length:whole], self.unread[whole:]
        return Answer(int(status[1]), body, CLOSE(head) is not None)

    def close(self) -> None:
        self._socket.close()

    async def _read(self) -> None:
        await asyncio.sleep(self._read_pause)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                data = await asyncio.get_running_loop().sock_recv(self._socket, self._read_size)
        except OSError as error:
            raise EndedError(repr(error), begun=bool(self.unread)) from error
        if not data:
            raise EndedError("end of file", begun=bool(self.unread))
        self.unread += data


async def connect(address: Address, *, small_buffers: bool = False) -> socket.socket:
    """Return a socket that is connected; with small buffers the server can't get rid of many answers at once.

    Raises:
        OSError: nobody accepts there, or not within ANSWER_SECONDS.
    """
    sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    try:
        sock.settimeout(0)
        if not isinstance(address, str):
            sock.bind(SOURCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if small_buffers:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_SEGMENT)
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
