"""Moments as answers and lines of the access log have them, in UTC; strftime would name months by the locale."""

import time
from functools import lru_cache
from typing import Final

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def imf_fixdate(wall: float) -> bytes:
    """Return a moment, in seconds since the epoch, as RFC 9110 §5.6.7 wants it."""
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(wall)
    return f"{DAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{second:02} GMT".encode()


@lru_cache(maxsize=2)  # a second is asked for many times, then never again
def clf_time(when: int) -> bytes:
    """Return a moment, in seconds since the epoch, as the common format has it."""
    year, month, day, hour, minute, second, *_ = time.gmtime(when)
    return f"[{day:02}/{MONTHS[month - 1]}/{year}:{hour:02}:{minute:02}:{second:02} +0000]".encode()


@lru_cache(maxsize=2)
def iso_time(when: int) -> bytes:
    """Return a moment as RFC 3339 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)).encode()
