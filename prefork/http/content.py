"""What keeps the content of a request until it is whole, for an application that reads it."""

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


def drop(_data: bytes) -> None:
    """Keep nothing: what receives the content that no application reads."""
