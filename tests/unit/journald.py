"""Plays the journal: reads entries of its native protocol, as datagrams or as sealed files."""

import fcntl
import os
import socket
from pathlib import Path


class Journald:
    """Reads what was sent since it was asked last; `seals` are those of the entries that came as files."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.seals: list[int] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(0)

    def entries(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
            except BlockingIOError:
                return found
            found.append(parsed(self._file(fds[0]) if fds else data))

    def close(self) -> None:
        self._socket.close()

    def _file(self, fd: int) -> bytes:
        self.seals.append(fcntl.fcntl(fd, fcntl.F_GET_SEALS))
        with open(fd, "rb") as file:
            return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def parsed(entry: bytes) -> dict[str, str]:
    """Return the fields of an entry."""
    fields = {}
    while entry:
        line, _, entry = entry.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(entry[:8], "little")
            value, entry = entry[8 : 8 + length], entry[9 + length :]
        fields[name.decode()] = value.decode()
    return fields
