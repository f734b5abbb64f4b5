"""What a client gets where the application failed to give an answer: for development with the traceback in it.

A traceback is for whoever writes the application. It tells strangers what they may use against it, so nothing but the
flag `--reload` of the command line asks for it: no file and no variable that may have been meant for another machine.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from prefork.apps.answer_heads import head_of
from prefork.apps.blame import own_traceback, summary, working_folder
from prefork.http.answers import Whole

Failed: TypeAlias = Callable[[BaseException], Whole]

STATUS: Final = "500 Internal Server Error"
FAILED: Final = Whole(head_of(STATUS, [("Content-Type", "text/plain")]), b"The application failed.\n")
EXPLAINED: Final = head_of(STATUS, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])


def unexplained(_error: BaseException) -> Whole:
    """Return what tells nothing."""
    return FAILED


def explained(error: BaseException) -> Whole:
    """Return what tells what was raised and where, as the log does."""
    lines = (
        f"The application failed: {summary(error, working_folder())}",
        "",
        *own_traceback(error),
        "",
        "This page is shown because of --reload.",
        "",
    )
    return Whole(EXPLAINED, "\n".join(lines).encode(errors="backslashreplace"))
