"""The hello answers everybody alike."""

from prefork.apps.hello import find_hello, hello
from prefork.apps.interface import ThisWorker
from prefork.config.schema import Config, Hello
from prefork.http.messages import Peer, Request, Response
from prefork.logs.log import Log

PEER = Peer(b"127.0.0.1")


def test_the_answer_is_what_was_configured_in_utf_8() -> None:
    respond = hello(body="Grüße", content_type="text/html; charset=utf-8", status=404)
    response = respond(Request(b"GET", b"/", 1, b""), PEER, None)
    assert isinstance(response, Response)
    assert response.status == 404
    assert response.fields == ((b"Content-Type", b"text/html; charset=utf-8"),)
    assert response.body == "Grüße".encode()


def test_every_request_gets_the_same_object_so_that_it_is_rendered_once() -> None:
    respond = hello(body="Hello, world!", content_type="text/plain", status=200)
    first, second = Request(b"GET", b"/", 1, b""), Request(b"POST", b"/else", 0, b"")
    assert respond(first, PEER, None) is respond(second, Peer(b"::1"), None)


def test_it_is_loaded_as_configured_and_reads_no_content() -> None:
    worker = ThisWorker(0, 1, 1, Log("worker-0", "info"))
    application = find_hello(Config(hello=Hello(body="Hi")), {}).load(worker)
    response = application.respond(Request(b"GET", b"/", 1, b""), PEER, None)
    assert isinstance(response, Response)
    assert (response.body, application.new_content, application.threads) == (b"Hi", None, None)
