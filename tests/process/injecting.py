"""Lets system calls of one process fail or wait, by strace, where nothing else does that to this process alone."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from signal import SIGINT
from tempfile import NamedTemporaryFile
from typing import Final

import pytest

from tests.process.waiting import LIMIT, until

needs_strace: Final = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def strace(call: str, errno: str, when: str) -> tuple[str, ...]:
    """Return the command in front of another, of which calls of this name fail: the first for `1`, all for `1+`."""
    return ("strace", f"--trace={call}", f"--inject={call}:error={errno}:when={when}")


@contextmanager
def failing(pid: int, call: str, errno: str, when: str) -> Iterator[Callable[[], Sequence[str]]]:
    """Have calls of this name fail in that process while the block lasts; yields what tells those that have failed."""
    with NamedTemporaryFile("r") as told:

        def failed() -> Sequence[str]:
            told.seek(0)
            return [line for line in told if line.endswith("(INJECTED)\n")]

        with _attached(pid, *strace(call, errno, when), f"--output={told.name}"):
            yield failed


@contextmanager
def held_up(pid: int, call: str) -> Iterator[None]:
    """Have each call of this name begin only when the block ends, or a minute later."""
    with _attached(pid, "strace", f"--trace={call}", f"--inject={call}:delay_enter=60s", f"--output={os.devnull}"):
        yield


@contextmanager
def _attached(pid: int, *command: str) -> Iterator[None]:
    with subprocess.Popen((*command, f"--attach={pid}"), stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        read = tracer.stderr.readline
        until(lambda: b"attached" in read(), "strace to be attached")
        try:
            yield
        finally:
            tracer.send_signal(SIGINT)
            tracer.wait(LIMIT)
