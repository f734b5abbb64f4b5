"""What is told of errors: of a start that can't go on, with its exit status, and of what the system refuses besides."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from traceback import walk_tb
from typing import Final

OURS: Final = os.path.abspath(f"{__file__}/../..") + "/"
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
    """Have what the system refuses to a start, such as memory, end it with a line; raises StartError."""
    try:
        yield
    except OSError as error:
        raise explained(error, os.EX_OSERR, "the system refused", "its own log may say why") from error


def refusal(error: OSError) -> dict[str, object]:
    """Return as fields of the log what the system said, and where in this program it was asked."""
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    path, line = next((each for each in reversed(places) if each[0].startswith(OURS)), places[-1])
    return {"reason": error.strerror or error, "at": f"{os.path.basename(path)}:{line}"}
