"""A call of a WSGI application (PEP 3333): what it says by `start_response` and `write`, and returns piece by piece."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from io import BufferedIOBase
from types import TracebackType
from typing import Any, Final, TypeAlias

from msgspec import Struct

from prefork.apps.answer_heads import head_of, latest
from prefork.apps.content import KeptContent
from prefork.http.answers import AnswerHead, File, nothing

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

IN_MEMORY: Final = 64 * 1024  # bytes of what `write` was given
PIECE: Final = 64 * 1024  # bytes


class Exchange(Struct, eq=False, gc=False):  # a Struct is made in half the time of another object
    """What one call of the application says besides what it returns. To call it is to write, as PEP 3333 has it."""

    head: AnswerHead | None = None
    begun: bool = False  # whether some of the answer has been given out
    written: KeptContent | None = None

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Take the head of the answer; with `exc_info` in place of another, unless some of that has been given out."""
        if exc_info is not None:
            try:
                if self.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
                if self.written is not None:
                    self.written.clear()
            finally:
                exc_info = None  # it would hold on to this frame, which holds on to it
        elif self.head is not None:
            raise AssertionError("start_response was called a second time, without exc_info (PEP 3333)")
        said = latest.get(status)  # written out for what is said again: a call of head_of costs more than all the rest
        self.head = said[1] if said is not None and said[0] == headers else head_of(status, headers)
        return self

    def __call__(self, data: bytes) -> None:
        """Take some content, sent when the application has returned: nothing in it waits for a client."""
        if self.written is None:
            self.written = KeptContent(IN_MEMORY)
        self.written.keep(data)


class Late(KeptContent):
    """In place of what is written, once the application has returned: it would come too late (PEP 3333)."""

    def keep(self, data: bytes) -> None:
        """Refuse it, else it would be missing from an answer that looks whole."""
        raise AssertionError("write was called after the application had returned (PEP 3333)")

    def close(self) -> None:
        """Stay open: it is the same for all answers."""


LATE: Final = Late(0)


class Pieces:
    """The content of one answer, as the application gives it: what it has `written`, then what it returned."""

    def __init__(self, exchange: Exchange, result: Iterable[bytes]) -> None:
        self._exchange = exchange
        self._result = result
        self._close: Callable[[], object] = getattr(result, "close", nothing)
        self.written, exchange.written = exchange.written, LATE
        self._first: bytes | None = None
        self._left: int | None = None
        self.excess = 0

    def begin(self) -> bool:
        """Find the first piece, for which the application has to know the head; tell whether there is one."""
        if self.written is not None:
            self.written.file.seek(0)
        if not hasattr(self._result, "__iter__") and not hasattr(self._result, "__getitem__"):
            raise TypeError(f"the application must return an iterable of bytes, got {type(self._result).__name__}")
        self._next = iter(self._result).__next__
        self._first = self._pull()
        return self._first is not None

    def expect(self, length: int | None) -> None:
        """Take care that there are so many bytes, where the head says how many."""
        self._left = length

    def pull(self) -> bytes | None:
        """Return the next piece, None at the end.

        Raises:
            LengthError: There were fewer bytes than the head says.
        """
        piece, self._first = self._first, None
        self._exchange.begun = True
        if piece is None and not self.excess:  # PEP 3333: no more is asked for than Content-Length says
            piece = self._pull()
        if self._left is None:
            return piece
        if piece is None:
            if self._left:
                raise LengthError(f"{self._left} bytes fewer than Content-Length says")
            return None
        if len(piece) > self._left:
            self.excess = len(piece) - self._left
            piece = piece[: self._left]
        self._left -= len(piece)
        return piece or None

    def close(self) -> None:
        """Close what the application returned, as often as it may be asked for; raises whatever that raises."""
        if self.written is not None:
            self.written.close()
        close, self._close = self._close, nothing
        close()

    def _pull(self) -> bytes | None:
        """Return the next piece that is not empty."""
        if self.written is not None and (written := self.written.file.read(PIECE)):
            return written
        try:
            while not (piece := self._next()):
                pass
        except StopIteration:
            return None
        if not isinstance(piece, bytes):
            raise TypeError(wrong_content(piece))
        return piece


def wrong_content(piece: object) -> str:
    """Say what is wrong with a piece that isn't bytes."""
    hint = {str: "; encode it", int: "; return [content] instead of content"}.get(type(piece), "")
    return f"the content must be bytes, got {type(piece).__name__}{hint}"


class LengthError(Exception):
    """An answer that is not as long as it says."""


class FileWrapper:
    """The `wsgi.file_wrapper`: a file that is sent as it is, by the kernel where that can."""

    def __init__(self, filelike: Any, blksize: int = 8192) -> None:  # Any: as the PEP has it, whatever has read()
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.filelike.read(self.blksize):
            yield piece

    def file(self, length: int | None) -> File | None:
        """Return what to send, at most `length` bytes from where the file is now on; None where it is no real file."""
        try:
            # What is read of a GzipFile and the like, be it buffered, is not what is in its descriptor.
            if isinstance(getattr(self.filelike, "raw", self.filelike), BufferedIOBase):
                return None
            fd = self.filelike.fileno()
            offset = self.filelike.tell()
            status = os.fstat(fd)
        except (AttributeError, OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode) or not status.st_size:  # a file of /proc says that it is empty (proc(5))
            return None
        left = max(0, status.st_size - offset)
        return File(fd, offset, left if length is None else min(left, length))
