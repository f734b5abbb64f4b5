"""Applications that say that they never wait."""

from prefork.apps.hello import hello
from prefork.apps.instant import instant, is_instant
from prefork.http.content import Content
from prefork.http.messages import Peer, Request, Response


def respond(_request: Request, _peer: Peer, _content: Content | None) -> Response:
    return Response(200)


def test_an_application_may_wait_unless_it_says_otherwise() -> None:
    assert not is_instant(respond)
    assert is_instant(instant(lambda _request, _peer, _content: Response(200)))


def test_the_hello_never_waits() -> None:
    assert is_instant(hello(body="", content_type="text/plain", status=200))
