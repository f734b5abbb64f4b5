"""Lets system calls of one process fail, by strace, where nothing else makes them fail for that process alone."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGINT
from tempfile import NamedTemporaryFile

from tests.process.waiting import LIMIT, until


@contextmanager
def failing(pid: int, call: str, errno: str, when: str) -> Iterator[Callable[[], int]]:
    """Have calls of this name fail while the block lasts: the first for `1`, all for `1+` (strace(1), when=).

    Yields what counts those that have failed.
    """
    with NamedTemporaryFile() as told:
        options = ("-f", "-e", f"trace={call}", "-e", f"inject={call}:error={errno}:when={when}", "-o", told.name)
        with subprocess.Popen(("strace", *options, "-p", str(pid)), stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr is not None
            read = tracer.stderr.readline
            until(lambda: b"attached" in read(), "strace to be attached")
            yield lambda: told.read().count(b"(INJECTED)")
            tracer.send_signal(SIGINT)
            tracer.wait(LIMIT)
