"""Says what is wrong with an application that raised: in one line, and by its own traceback.

The frames of the import system and of this package are left out of a traceback: what is left is the application's, and
that of the libraries which it called.
"""

import importlib
import os
import traceback
from collections.abc import Iterator
from typing import Final

from prefork.logs.log import Log

_HEADER: Final = "Traceback (most recent call last):"
_LONGEST_MESSAGE: Final = 300  # characters
_NOT_ITS_OWN: Final = (
    "<frozen importlib",
    os.path.dirname(os.path.abspath(importlib.__file__)) + os.sep,
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep,
)


def working_folder() -> str:
    """Return the folder of this process, empty where it has been deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def blame(log: Log, event: str, error: BaseException, **fields: object) -> None:
    """Log what an application raised, and where, with a line for each line of its traceback."""
    log.error(event, **fields, reason=summary(error, working_folder()))
    for line in own_traceback(error):
        log.error("traceback", line=line)


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of the application, the outermost first."""
    return _own(traceback.extract_tb(error.__traceback__))


def own_traceback(error: BaseException) -> tuple[str, ...]:
    """Return the traceback of the application, a line each, with what caused it."""
    try:
        told = traceback.TracebackException.from_exception(error)
        for each in _chain(told):
            each.stack = traceback.StackSummary.from_list(_own(each.stack))
        lines = [line for part in told.format() for line in part.rstrip("\n").split("\n")]
    except Exception:  # noqa: BLE001 - the exception's own: a SyntaxError may be made of anything
        return ("its traceback can't be made",)
    return tuple(line for line in lines if line != _HEADER)


def summary(error: BaseException, folder: str) -> str:
    """Return the exception in one line, with the last place in the application, which is in `folder`."""
    words = " ".join(_message(error).split())[:_LONGEST_MESSAGE]
    return ": ".join(filter(None, (_name(type(error)), words))) + place(error, folder)


def place(error: BaseException, folder: str) -> str:
    """Return where it was, ` (wsgi.py:3)`: what a library raised is best looked for where the application called it."""
    if isinstance(error, SyntaxError) and error.filename:
        return _spelled(str(error.filename), error.lineno, folder)
    frames = own_frames(error)
    here = [each for each in frames if each.filename.startswith(folder) and "site-packages" not in each.filename]
    return _spelled((here or frames)[-1].filename, (here or frames)[-1].lineno, folder) if frames else ""


def _message(error: BaseException) -> str:
    try:
        return str(error.msg or "") if isinstance(error, SyntaxError) else str(error)
    except Exception:  # noqa: BLE001 - the exception's own
        return "its message can't be made"


def _own(frames: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    return [frame for frame in frames if not frame.filename.startswith(_NOT_ITS_OWN)]


def _chain(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    yield told
    for each in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if each is not None:
            yield from _chain(each)


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _spelled(path: str, line: int | None, folder: str) -> str:
    return f" ({path.removeprefix(folder + os.sep)}:{line})"
