"""What an application answers with, where that is not a Response which it gives again and again.

A Whole has its content at hand. A Stream gives it piece by piece, each when the client has taken the ones before, so
that a slow client costs no memory. Another thread may still be at work on either, or on a piece: that is a Pending.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct

from prefork.http.messages import Response


def nothing() -> None:
    """Do nothing: what is called as long as nobody has said what else is to be."""


class AnswerHead(Struct, frozen=True, eq=False, gc=False):
    """The status line and the fields of an answer in bytes, `block`, made once for many answers.

    The only field in it that frames the answer is Content-Length, where its content's `length` in bytes is known. With
    `dated` there is a Date.
    """

    status: int
    block: bytes
    length: int | None = None
    dated: bool = False


class Whole(Struct, frozen=True, eq=False, gc=False):
    """An answer with all its content, of as many bytes as its head says, if it does; none where its status has none."""

    head: AnswerHead
    body: bytes = b""


class File(Struct, eq=False):
    """What is still to be sent of an open file, in bytes. The descriptor belongs to whoever opened it.

    `problem` says what is wrong with the file itself, where that keeps the rest from being sent.
    """

    fd: int
    offset: int
    left: int
    problem: str = ""


class Wanted(Struct, frozen=True):
    """In place of an answer: whoever is at work on it wants the content of the request first."""


WANTED: Final = Wanted()


class Pending:
    """What another thread is at work on, once it `has_begun`.

    `on_done` is called in the thread of the loop when `result` is there. `abandon` tells that nobody waits for it any
    more, and calls `on_abandon`.
    """

    __slots__ = ("abandoned", "has_begun", "is_done", "on_abandon", "on_done", "result")

    def __init__(self, *, has_begun: bool = True) -> None:
        self.on_abandon: Callable[[], object] = nothing
        self.on_done: Callable[[], object] = nothing
        self.has_begun = has_begun
        self.result: Whole | Stream | bytes | Truncated | Wanted | None = None
        self.is_done = False
        self.abandoned = False

    def finish(self, result: "Whole | Stream | bytes | Truncated | Wanted | None") -> None:
        """Hand over what was pending, or let go of it where nobody waits any more."""
        if not self.abandoned:
            self.result = result
            self.is_done = True
            self.on_done()
        elif isinstance(result, Stream):
            result.close()

    def abandon(self) -> None:
        self.abandoned = True
        self.on_abandon()
        if isinstance(self.result, Stream):
            self.result.close()

    def want(self) -> None:
        """Tell that the content of the request is wanted, where there is no answer yet."""
        if not self.is_done:
            self.finish(WANTED)

    def go_on(self) -> None:
        """Be at work again, with what was wanted; whoever is to be told of the answer says so anew."""
        self.result = None
        self.is_done = False
        self.on_done = nothing

    def answer(self) -> "Whole | Stream":
        """Return the result, which is a new answer."""
        assert isinstance(self.result, Whole | Stream)
        return self.result

    def piece(self) -> bytes | None:
        """Return the result, which is the next piece of a stream, None at its end; raises Truncated."""
        if isinstance(self.result, Truncated):
            raise self.result
        assert self.result is None or isinstance(self.result, bytes)
        return self.result


class Stream:
    """An answer whose content is still to come, from `pull`, or out of a `file` with the length that the head says.

    `pull` returns the next piece, never an empty one, and None at the end, when there were as many bytes as the head
    says; it raises Truncated where there can't be. `close` is called once, at the end or before it.
    """

    __slots__ = ("close", "file", "head", "pull")

    def __init__(
        self,
        head: AnswerHead,
        pull: Callable[[], bytes | Pending | None],
        close: Callable[[], object],
        file: File | None = None,
    ) -> None:
        self.head = head
        self.pull = pull
        self.close = close
        self.file = file


class Truncated(Exception):  # noqa: N818 - it is the end of an answer
    """The rest of an answer can't come. The connection is cut, as what was sent must not look whole."""


Answer: TypeAlias = Response | Whole | Stream | Pending
