"""Keeps the content of a request until it is whole: in memory, or in a temporary file where it is large.

An application gets all of it as `wsgi.input`. So a client that sends slowly costs no time of the application.
"""

from contextlib import suppress
from io import BytesIO, UnsupportedOperation
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, NoReturn

from prefork.http.messages import Rejection
from prefork.ipc.handover import LARGEST_PARCEL

MOST_MOVED: Final = LARGEST_PARCEL // 2  # bytes: the rest is for what comes with it


class KeptContent:
    """The content of one request, of which up to `in_memory` bytes are kept there; `size` is in bytes."""

    __slots__ = ("_in_memory", "file", "size")

    def __init__(self, in_memory: int) -> None:
        self._in_memory = in_memory
        self.file: BinaryIO = BytesIO()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Keep some more.

        Raises:
            Rejection: 507 where there is no room for it in a temporary file.
        """
        try:
            self.keep(data)
        except OSError:  # that the disk is full may be said as "no usable temporary directory"
            raise Rejection(507, "no room for the content of the request") from None

    def keep(self, data: bytes) -> None:
        """Keep some more, of whatever it is; raises OSError where there is no room for it."""
        self.size += len(data)
        if self.size > self._in_memory and isinstance(self.file, BytesIO):
            self._move_to_disk(self.file)
        self.file.write(data)
        self.file.flush()  # else the application would meet it, by the last bytes

    def tell(self, environ: dict[str, Any]) -> None:  # Any: as PEP 3333 has it
        """Put it into the environ of its request."""
        self.file.seek(0)
        environ["wsgi.input"] = self.file
        environ["CONTENT_LENGTH"] = str(self.size)

    def kept(self) -> bytes | None:
        """Return what has come so far, None where it is too much to be moved to another process."""
        return self.file.getvalue() if isinstance(self.file, BytesIO) and self.size <= MOST_MOVED else None

    def clear(self) -> None:
        """Keep nothing of what has been written."""
        self.file.seek(0)
        self.file.truncate()
        self.size = 0

    def close(self) -> None:
        """Let go of it, though what is not written yet finds no room."""
        with suppress(OSError):
            self.file.close()

    def _move_to_disk(self, memory: BytesIO) -> None:
        self.file = TemporaryFile(prefix="prefork-")  # noqa: SIM115 - it is closed with the content
        self.file.write(memory.getbuffer())


class NoContent(BytesIO):
    """The `wsgi.input` of all requests without content: it is empty, and nobody can write to it or close it."""

    def write(self, _data: object, /) -> NoReturn:
        """Refuse it: the next request would read it."""
        raise UnsupportedOperation("wsgi.input is there to be read")

    writelines = write

    def close(self) -> None:
        """Stay open: the next request has the same."""


NO_CONTENT: Final = NoContent()
