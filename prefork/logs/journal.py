"""Writes entries into systemd's journal by its native protocol: a datagram for each, of fields by name.

Fields can be searched for, `journalctl STATUS=500`, where lines can only be read. Nothing here waits: the journal is a
reader that may not keep up, and who writes is told so. See systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

import fcntl
import os
import socket
import stat
from array import array
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from errno import EMSGSIZE, ENOBUFS
from typing import Final

SOCKET: Final = "/run/systemd/journal/socket"
SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
MOST_WAITING: Final = 256 * 1024  # bytes of entries that may wait for the journal


class Journal:
    """A way to the journal; each entry ends with the fields of the process, beside those that the journal adds."""

    def __init__(self, identifier: str, process: Iterable[tuple[str, object]] = (), path: str = SOCKET) -> None:
        self.process = field("SYSLOG_IDENTIFIER", identifier) + b"".join(field(*each) for each in process)
        self._path = path
        self._socket: socket.socket | None = None
        with suppress(OSError):  # a log that can't be told yet is no reason to fail
            self._opened()

    def write(self, entry: bytes) -> bool:
        """Send one entry, whole; return whether the journal has it."""
        try:
            self._opened().sendto(entry, self._path)
        except OSError as error:
            return error.errno in (EMSGSIZE, ENOBUFS) and self._write_as_file(entry)
        return True

    def close(self) -> None:
        """Let go of it."""
        if self._socket is not None:
            self._socket.close()

    def _opened(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(0)
        return self._socket

    def _write_as_file(self, entry: bytes) -> bool:
        """Send what is too large for a datagram: a memory file that nobody can change any more."""
        with (
            suppress(OSError),
            open(os.memfd_create("journal-entry", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC), "wb") as file,
        ):
            file.write(entry)
            file.flush()
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file.fileno()]))]
            self._opened().sendmsg([], rights, 0, self._path)
            return True
        return False


class Entries:
    """Writes entries one after the other, as an access log does lines. `lost` counts those that found no room."""

    def __init__(self, journal: Journal) -> None:
        self.lost = 0
        self._journal = journal
        self._waiting: deque[bytes] = deque()
        self._size = 0

    def add(self, entry: bytes) -> None:
        """Write one, or let it wait for its turn."""
        if not self._waiting and self._journal.write(entry):
            return
        if self._size + len(entry) > MOST_WAITING:
            self.lost += 1
        else:
            self._waiting.append(entry)
            self._size += len(entry)

    def flush(self) -> None:
        """Write what waits, as far as the journal takes it."""
        while self._waiting and self._journal.write(self._waiting[0]):
            self._size -= len(self._waiting.popleft())

    def give_up(self) -> None:
        """Count what still waits among what is lost: nobody will write it, nor add to it."""
        self.lost += len(self._waiting)


def field(name: str, value: object) -> bytes:
    """Return a field of an entry; a value with line breaks goes with its length instead of its end."""
    data = str(value).encode(errors="backslashreplace")
    if b"\n" in data:
        return b"%b\n%b%b\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
    return b"%b=%b\n" % (name.encode(), data)


def is_there(path: str = SOCKET) -> bool:
    """Tell whether this machine has a journal."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
