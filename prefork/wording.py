"""What several places say alike. Pure."""

from collections.abc import Sequence
from typing import Final

MORE_DESCRIPTORS: Final = "raise LimitNOFILE= of the unit, or ulimit -n"  # what helps where there are too few


def plural(noun: str, count: int) -> str:
    """Return the noun as it stands behind a number."""
    return noun if count == 1 else f"{noun}s"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {plural(noun, count)}"


def waiting_for_restart(keys: Sequence[str]) -> str:
    """Return what is to be said of keys whose new values don't hold yet, nothing where there are none."""
    return f"only a restart changes {', '.join(keys)}" if keys else ""
