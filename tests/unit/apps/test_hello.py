"""The hello answers everybody alike."""

from prefork.apps.hello import hello
from prefork.http.messages import Request


def test_the_answer_is_what_was_configured_in_utf_8() -> None:
    response = hello(body="Grüße", content_type="text/html; charset=utf-8", status=404)(Request(b"GET", b"/", 1, b""))
    assert response.status == 404
    assert response.fields == ((b"Content-Type", b"text/html; charset=utf-8"),)
    assert response.body == "Grüße".encode()


def test_every_request_gets_the_same_object_so_that_it_is_rendered_once() -> None:
    respond = hello(body="Hello, world!", content_type="text/plain", status=200)
    assert respond(Request(b"GET", b"/", 1, b"")) is respond(Request(b"POST", b"/else", 0, b""))
