"""Durations, sizes and file modes, from the text that people write and back. Pure.

A text that is no such thing yields None, and the caller says what was expected. What is written back is read again as
the same value, in the largest unit that keeps it short.
"""

import re
from collections.abc import Mapping
from typing import Final

_DURATION: Final = re.compile(r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,24})?)(?P<unit>ms|s|m|h)?")
_SIZE: Final = re.compile(r"(?P<number>[0-9]{1,18})(?P<unit>[kmgt](?:ib)?)?", re.IGNORECASE | re.ASCII)
_MODE: Final = re.compile(r"(?:0o?)?(?P<digits>[0-7]{3})")

# As a fraction, because 9 / 1000 is exact to the last bit where 9 * 0.001 is not.
_SECONDS: Final[Mapping[str | None, tuple[int, int]]] = {
    "ms": (1, 1000),
    None: (1, 1),
    "s": (1, 1),
    "m": (60, 1),
    "h": (3600, 1),
}
# Powers of 1024 only: "16MB" is 16,000,000 to some and 16,777,216 to others, so it is refused.
_BYTES: Final[Mapping[str, int]] = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def parse_duration(text: str) -> float | None:
    """Return the seconds in `30`, `1.5s`, `500ms`, `2m` or `1h`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    times, over = _SECONDS[found["unit"]]
    return float(found["number"]) * times / over


def format_duration(seconds: float) -> str:
    """Return `seconds`, 0 or at least a millisecond, as `1h`, `2m`, `30s`, `500ms` or `1.2345s`."""
    if not seconds:
        return "0s"
    for suffix, unit in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds % unit == 0:
            return f"{seconds / unit:.0f}{suffix}"
    milliseconds = f"{seconds * 1000:.0f}ms"
    return milliseconds if parse_duration(milliseconds) == seconds else f"{seconds!r}s"


def parse_size(text: str) -> int | None:
    """Return the bytes in `4096`, `8k` or `16MiB`; units are powers of 1024 in either case."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    return int(found["number"]) * _BYTES[(found["unit"] or "")[:1].lower()]


def format_size(size: int) -> int | str:
    """Return `size` bytes as `16MiB`, or as the bare number where no unit divides it."""
    for suffix, unit in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size and size % unit == 0:
            return f"{size // unit}{suffix}"
    return size


def parse_mode(text: str) -> int | None:
    """Return the permission bits in `0660`, `660` or `0o660`."""
    found = _MODE.fullmatch(text)
    return None if found is None else int(found["digits"], 8)


def format_mode(mode: int) -> str:
    """Return permission bits as `0660`."""
    return f"{mode:04o}"
