"""The commands, as a user gives them to the service under test."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.process.hello import Hello
from tests.process.starting import environment
from tests.process.waiting import LIMIT

PREFORK = str(Path(sys.executable).with_name("prefork"))
CONTROL = ("--control", "control.sock")


def begin(hello: Hello, *words: str, under: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a command and wait for nothing."""
    return subprocess.Popen(
        [*under, PREFORK, *words, *CONTROL],
        cwd=hello.folder,
        env=environment(None),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return how a command ended, and all that it printed."""
    out, err = process.communicate(timeout=LIMIT)
    assert "Traceback" not in err
    return process.returncode, out + err


def command(hello: Hello, *words: str, under: Sequence[str] = ()) -> tuple[int, str]:
    return end(begin(hello, *words, under=under))


def status(hello: Hello) -> Any:  # Any: a test reads JSON
    code, printed = command(hello, "status", "--json")
    assert code == 0, printed
    return json.loads(printed)
