"""The exception of a start that can't go on: what it tells a person, and the exit status that tells a machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from typing import Final

SCARCE: Final = (EMFILE, ENFILE, ENOBUFS, ENOMEM)


class StartError(Exception):
    """A reason not to start, or on a reload not to change.

    `problem` is one line for a person: the place, what is wrong, what to do. `status` is an os.EX_* that says who can
    mend it.
    """

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem


def explained(error: OSError, status: int, problem: str, advice: str) -> StartError:
    """Return how a start fails by `problem`; where the system has no more of something, other advice helps."""
    if error.errno in SCARCE:
        status, advice = os.EX_OSERR, "raise the system's limits"
    return StartError(status, f"{problem}: {error.strerror or error}; {advice}")


class UnservableError(StartError):
    """No worker can get ready: what is wrong is the application, or what is around it in the workers."""


@contextmanager
def refusals() -> Iterator[None]:
    """Have what the system refuses to a start, descriptors or memory, end it with a line; raises StartError."""
    try:
        yield
    except OSError as error:
        raise StartError(os.EX_OSERR, f"the system refused: {error.strerror}; raise its limits") from error
