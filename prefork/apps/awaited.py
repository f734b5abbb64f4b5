"""The content of a request whose client waits for 100 (Continue): received when the application first reads of it.

The application's thread posts its wish to the loop and waits, until all of the content has come or none will. What is
decided about it, and its end, is the loop's; so the loop never writes into what a thread has closed.
"""

from collections.abc import Callable
from functools import cache
from io import BufferedIOBase
from threading import Event
from typing import Any, BinaryIO

from prefork.apps.content import KeptContent
from prefork.http.answers import nothing


class LeftError(ConnectionAbortedError):
    """The client has left, or was refused, before all of the content had come that the application waited for."""


class AwaitedContent(KeptContent):
    """Content that comes when it is asked for. `post` has the loop do something; any thread may call it."""

    __slots__ = ("_has_come", "_has_left", "_is_settled", "_post", "on_wanted")

    def __init__(self, in_memory: int, post: Callable[[Callable[[], object]], None]) -> None:
        super().__init__(in_memory)
        self._post = post
        self._is_settled = Event()
        self._has_come = False
        self._has_left = False
        self.on_wanted: Callable[[], object] = nothing

    # In the loop

    def write(self, data: bytes) -> None:
        """Keep some more, unless it is closed; raises Rejection as KeptContent does."""
        if not self.file.closed:
            super().write(data)

    def kept(self) -> bytes | None:
        """Return None: the thread that waits for it can't be moved to another process."""

    def give(self) -> None:
        """Let the application read it."""
        self._has_come = True
        self._is_settled.set()

    def withhold(self) -> None:
        """Have the application fail that waits for it, or will."""
        self.on_wanted = nothing
        self._is_settled.set()

    # In any thread

    def close(self) -> None:
        """Let go of it, and of who waits for it; the application's thread may call it as well as the loop."""
        self._post(self._end)

    # In the application's thread

    def tell(self, environ: dict[str, Any]) -> None:  # Any: as PEP 3333 has it
        """Put it into the environ of its request, which has the length if the head told it."""
        environ["wsgi.input"] = Input(self.receive)

    def receive(self) -> BinaryIO:
        """Return all of it, having waited until it is there.

        Raises:
            LeftError: it won't be, and nobody waits for an answer.
            OSError: it won't be, since the answer has begun.
        """
        self._post(self._want)
        self._is_settled.wait()
        if self._has_left:
            raise LeftError("the content of the request was not received: its client has left, or was refused")
        if not self._has_come:
            raise OSError("the content of the request was not received: its answer had begun")
        self.file.seek(0)
        return self.file

    def _want(self) -> None:
        ask, self.on_wanted = self.on_wanted, nothing
        ask()

    def _end(self) -> None:
        self._has_left = not self._has_come
        self.withhold()
        super().close()


class Input(BufferedIOBase):
    """The `wsgi.input` of such a request. To read asks for it, and so does to seek."""

    def __init__(self, receive: Callable[[], BinaryIO]) -> None:
        self._content = cache(receive)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        return self._content().read(-1 if size is None else size)

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._content().readline(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._content().seek(offset, whence)

    def tell(self) -> int:
        return self._content().tell()
