"""Runs the command that follows with workers that fail as soon as they are forked."""

import sys
from typing import NoReturn
from unittest.mock import patch

from prefork.cli import prefork_hello
from prefork.run import roles


def worker(*_given: object, **_named: object) -> NoReturn:
    raise SystemExit(3)


if __name__ == "__main__":
    del sys.argv[0]
    with patch.object(roles, "Worker", worker):
        prefork_hello()
