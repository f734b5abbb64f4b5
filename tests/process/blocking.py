"""Runs the command that follows with an application in the hello's place that hangs where it is asked to.

/sleep waits in a system call; /compute never leaves C code that keeps the interpreter to itself.
"""

import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from unittest.mock import patch

from prefork.apps.interface import Application, Source, ThisWorker
from prefork.apps.wsgi import Gateway
from prefork.cli import prefork_hello
from prefork.commands import serving
from prefork.config.schema import Config
from prefork.http.answers import nothing
from prefork.http.forwarded import Forwarding
from prefork.http.trust import NOBODY


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(3600)
    if environ["PATH_INFO"] == "/compute":
        re.match("(x+x+)+y", "x" * 100)  # as many steps as there are ways to cut it into pieces: 2 to the 100th
    start_response("200 OK", [])
    return [b"Hello, world!"]


def find(_config: Config, _variables: Mapping[str, str]) -> Source:
    return Source(nothing, load)


def load(worker: ThisWorker) -> Application:
    return Application(Gateway(application, Forwarding(NOBODY), worker.log, worker.note).respond)


if __name__ == "__main__":
    del sys.argv[0]
    with patch.object(serving, "find_hello", find):
        prefork_hello()
