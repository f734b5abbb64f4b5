"""The descriptors that this process has open, and how many it may have."""

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


def open_descriptors() -> list[str]:
    """Return their numbers, in order; what other tests have left to the garbage collector is closed before."""
    gc.collect()
    return sorted(os.listdir("/proc/self/fd"))


def lowest_free() -> int:
    """Return the number that the next descriptor gets."""
    number = os.dup(0)
    os.close(number)
    return number


@contextmanager
def none_from(number: int) -> Iterator[None]:
    """Let no descriptor be opened of this number or a higher one; those that there are stay."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
