"""Runs the command that follows with an application in the hello's place whose answer is larger than all buffers."""

import sys
from typing import Final
from unittest.mock import patch

from prefork.apps import hello
from prefork.cli import prefork_hello
from prefork.http.messages import Response
from prefork.http.service import Respond

SIZE: Final = 8 * 1024 * 1024


def application(**_configured: object) -> Respond:
    response = Response(200, (), b"x" * SIZE)
    return lambda _request, _peer, _content: response


if __name__ == "__main__":
    del sys.argv[0]
    with patch.object(hello, "hello", application):
        prefork_hello()
