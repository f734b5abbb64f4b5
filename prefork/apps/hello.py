"""The hello: one answer to every request."""

from collections.abc import Mapping

from prefork.apps.interface import Application, Source
from prefork.config.schema import Config
from prefork.http.answers import nothing
from prefork.http.messages import Response
from prefork.http.service import Respond


def hello(*, body: str, content_type: str, status: int) -> Respond:
    """Return the application that gives this answer, whatever is asked."""
    response = Response(status, ((b"Content-Type", content_type.encode()),), body.encode())
    return lambda _request, _peer, _content: response


def find_hello(config: Config, _variables: Mapping[str, str]) -> Source:
    """Return the hello that is configured."""
    answer = config.hello
    application = Application(hello(body=answer.body, content_type=answer.content_type, status=answer.status))
    return Source(nothing, lambda _worker: application)
