"""The program that watches an application's files for `reload`.

Called as `python -m prefork.development.watcher FOLDER… -- FILE…`, it prints an empty line when it begins to notice
changes, and a path whenever something has changed: of Python in one of the folders, or one of the files. It is a
program of its own because what it uses starts threads, beside which the master could not fork. It ends when its
standard input does, however its master came to an end.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import chain

from watchfiles import Change, PythonFilter, watch

TURN = 250  # milliseconds without a change, after which it says so
IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH)


def main(arguments: Sequence[str]) -> None:
    """Print what changes, for ever."""
    for number in IGNORED:  # `pkill -HUP prefork` is harmless
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_input, daemon=True).start()
    separator = arguments.index("--")
    for line in changes(arguments[:separator], arguments[separator + 1 :]):
        # In one piece: print writes an end of its own where nothing is buffered, which reads as another empty line.
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def changes(folders: Sequence[str], files: Sequence[str]) -> Iterator[str]:
    """Yield an empty text once it watches, then one path of each burst of changes, relative to where we are."""
    is_python = PythonFilter()
    named = {os.path.abspath(each) for each in files}

    def matters(change: Change, path: str) -> bool:
        return is_python(change, path) or os.path.abspath(path) in named

    bursts = watch(*folders, watch_filter=matters, rust_timeout=TURN, yield_on_timeout=True)
    first = next(bursts)
    yield ""
    for burst in chain([first], bursts):
        if burst:
            yield os.path.relpath(min(path for _change, path in burst))


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(os.EX_OK)  # the other thread waits in the kernel


if __name__ == "__main__":
    main(sys.argv[1:])
