"""Runs the command that follows with an application in the hello's place that hangs where it is asked to.

/sleep waits in a system call; /compute never leaves C code that keeps the interpreter to itself.
"""

import re
import sys
import time
from unittest.mock import patch

from prefork.apps import hello
from prefork.cli import prefork_hello
from prefork.http.content import Content
from prefork.http.messages import Peer, Request, Response
from prefork.http.service import Respond


def application(**_configured: object) -> Respond:
    return respond


def respond(request: Request, _peer: Peer, _content: Content | None) -> Response:
    if request.target.startswith(b"/sleep"):
        time.sleep(3600)
    if request.target.startswith(b"/compute"):
        re.match("(x+x+)+y", "x" * 100)  # as many steps as there are ways to cut it into pieces: 2 to the 100th
    return Response(200, (), b"Hello, world!")


if __name__ == "__main__":
    del sys.argv[0]
    with patch.object(hello, "hello", application):
        prefork_hello()
