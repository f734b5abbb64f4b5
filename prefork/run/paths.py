"""Tries, for a check of the configuration, that a start could open or make its files. It leaves no trace.

Who checks may do so while the service runs, so nothing is locked, truncated or listened on; and pipes and sockets that
are there are let be, as the reader of a pipe would take that for a writer who leaves.
"""

import os
from errno import EOPNOTSUPP
from typing import Final

from prefork.config.keys import path_in
from prefork.config.schema import Config
from prefork.master.errors import StartError

KEYS: Final = ("log", "access_log", "pid_file", "control")


def check_paths(config: Config) -> None:
    """Raise StartError, 73, for a path where a start would fail."""
    for key in KEYS:
        path = path_in(config, key)
        try:
            if path is not None:
                _try(path)
        except OSError as error:
            problem = f"{key} {path}: can't be opened or made: {error.strerror}; mend that or choose another path"
            raise StartError(os.EX_CANTCREAT, problem) from None


def _try(path: str) -> None:
    """Open a file, or in its folder one that never has a name (O_TMPFILE, open(2)), if the filesystem has such."""
    if os.path.isfile(path) or os.path.isdir(path):
        os.close(os.open(path, os.O_WRONLY))
    elif not os.path.exists(path):
        try:
            os.close(os.open(os.path.dirname(path) or ".", os.O_WRONLY | os.O_TMPFILE))
        except OSError as error:
            if error.errno != EOPNOTSUPP:
                raise
