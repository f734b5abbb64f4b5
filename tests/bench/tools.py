"""What must be on the machine before anything can be measured, and which Debian package brings it."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.bench.errors import MissingError

SEARCHED: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # Debian keeps nginx where only root looks


class Tool(Struct, frozen=True):
    """Something that one of the Debian package's files provides."""

    name: str
    package: str
    is_there: Callable[[], bool]


def program(name: str) -> str | None:
    """Return the path of a program, or None."""
    return shutil.which(name, path=SEARCHED)


# fmt: off
WRK: Final =        Tool("wrk",        "wrk",          lambda: program("wrk") is not None)
TASKSET: Final =    Tool("taskset",    "util-linux",   lambda: program("taskset") is not None)
NGINX: Final =      Tool("nginx",      "nginx-light",  lambda: program("nginx") is not None)
COMPILER: Final =   Tool("cc",         "gcc",          lambda: program("cc") is not None)
LIBEV: Final =      Tool("ev.h",       "libev-dev",    lambda: Path("/usr/include/ev.h").exists())
ENSUREPIP: Final =  Tool("ensurepip",  "python3-venv", lambda: importlib.util.find_spec("ensurepip") is not None)
# fmt: on


def require(tools: Iterable[Tool]) -> None:
    """Return if all the tools are there.

    Raises:
        MissingError: naming those that aren't and the command that installs them.
    """
    missing = [tool for tool in dict.fromkeys(tools) if not tool.is_there()]
    if missing:
        names = ", ".join(tool.name for tool in missing)
        packages = " ".join(tool.package for tool in missing)
        raise MissingError(f"not found: {names}; install with: apt install {packages}")
