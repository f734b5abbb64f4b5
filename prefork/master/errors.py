"""The exception of a start that can't go on: what it tells a person, and the exit status that tells a machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


class StartError(Exception):
    """A reason not to start, or on a reload not to change.

    `problem` is one line for a person: the place, what is wrong, what to do. `status` is an os.EX_* that says who can
    mend it.
    """

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem


class UnservableError(StartError):
    """No worker can get ready: what is wrong is the application, or what is around it in the workers."""


@contextmanager
def refusals() -> Iterator[None]:
    """Have what the system refuses to a start, descriptors or memory, end it with a line; raises StartError."""
    try:
        yield
    except OSError as error:
        raise StartError(os.EX_OSERR, f"the system refused: {error.strerror}; raise its limits") from error
