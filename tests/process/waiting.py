"""Waits for what is to become true, with a limit, and never for time alone."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

LIMIT: Final = 15.0  # seconds: long for a loaded machine, short for a test that fails
PAUSE: Final = 0.005  # seconds


def until(condition: Callable[[], T], what: str, limit: float = LIMIT) -> T:
    """Return the first true value of the condition; `what` says what was waited for in vain."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {limit} s in vain for {what}"
        time.sleep(PAUSE)
    return found
