"""Runs the command that follows with an application in place of the hello that takes a gigabyte when asked for /eat."""

import sys
from unittest.mock import patch

from prefork.apps import hello
from prefork.cli import prefork_hello
from prefork.http.content import Content
from prefork.http.messages import Peer, Request, Response
from prefork.http.service import Respond

MIB = 1 << 20
EATEN = 1 << 10  # MiB


def application(**_configured: object) -> Respond:
    return respond


def respond(request: Request, _peer: Peer, _content: Content | None) -> Response:
    if request.target == b"/eat":
        eaten = [bytearray(MIB) for _ in range(EATEN)]
        return Response(200, (), str(len(eaten)).encode())
    return Response(200, (), b"Hello, world!")


if __name__ == "__main__":
    del sys.argv[0]
    with patch.object(hello, "hello", application):
        prefork_hello()
