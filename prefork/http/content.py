"""What keeps the content of a request until it is whole, for an application that reads it."""

from collections.abc import Callable
from typing import Protocol


class Content(Protocol):
    """The content of one request, as it comes."""

    def write(self, data: bytes) -> object:
        """Keep what has come next.

        Raises:
            Rejection: there is no room for it.
        """

    def kept(self) -> bytes | None:
        """Return what has come so far, None where it is too much to be moved to another process."""

    def close(self) -> None:
        """Let go of it."""


class Awaited(Content, Protocol):
    """The content of a request that is received when the application, which is at work on it already, asks for it.

    It does so at most once, by `on_wanted`, in the thread of the loop. When it is closed instead of given, it won't
    come.
    """

    on_wanted: Callable[[], object]

    def give(self) -> None:
        """Let the application have all of it, which has come."""

    def withhold(self) -> None:
        """Let the application know, if it asks, that it won't be received."""


def drop(_data: bytes) -> None:
    """Keep nothing: what receives the content that no application reads."""
