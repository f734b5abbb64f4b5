"""Answers in bytes, and how long they are remembered."""

from http import HTTPStatus

import pytest

from prefork.http.answers import AnswerHead, Whole
from prefork.http.messages import CLOSE, FRAMINGS, KEEP, KEEP_SAID, Framing, Rejection, Response
from prefork.http.response import CONTINUE, MOST_HEADS, MOST_RENDERED, Renderer, rejected

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
HELLO = Response(200, ((b"Content-Type", b"text/plain"),), b"Hello, world!")


@pytest.fixture
def renderer() -> Renderer:
    renderer = Renderer()
    renderer.set_date(DATE)
    return renderer


def test_an_answer_is_status_line_date_fields_length_and_body(renderer: Renderer) -> None:
    assert renderer.render(HELLO, FRAMINGS[KEEP, False]) == (
        b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n"
        b"Hello, world!"
    )


def test_the_answer_to_head_has_the_length_and_not_the_body_rfc9110_9_3_2(renderer: Renderer) -> None:
    whole = renderer.render(HELLO, FRAMINGS[KEEP, False])
    assert renderer.render(HELLO, FRAMINGS[KEEP, True]) == whole.removesuffix(HELLO.body)


@pytest.mark.parametrize(
    ("connection", "said"), [(KEEP, b""), (KEEP_SAID, b"Connection: keep-alive\r\n"), (CLOSE, b"Connection: close\r\n")]
)
def test_the_connection_field_says_what_the_framing_does(renderer: Renderer, connection: bytes, said: bytes) -> None:
    head = renderer.render(HELLO, FRAMINGS[connection, True])
    assert head.endswith(b"Content-Length: 13\r\n" + said + b"\r\n")


def test_a_status_without_a_name_has_an_empty_reason_phrase_rfc9112_4(renderer: Renderer) -> None:
    assert renderer.head(Response(299), FRAMINGS[KEEP, False]).startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize("status", [each for each in HTTPStatus if each >= HTTPStatus.OK])
def test_each_known_status_is_named(renderer: Renderer, status: HTTPStatus) -> None:
    line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    assert renderer.head(Response(status), FRAMINGS[KEEP, False]).startswith(line)


@pytest.mark.parametrize("framing", FRAMINGS.values())
@pytest.mark.parametrize("status", [204, 304])
def test_204_and_304_have_neither_content_nor_a_length_rfc9110_8_6(
    renderer: Renderer, status: int, framing: Framing
) -> None:
    answer = renderer.render(Response(status), framing)
    assert b"Content-Length" not in answer
    assert answer.endswith(framing.connection + b"\r\n")


def test_205_says_that_its_content_is_empty_rfc9110_15_3_6(renderer: Renderer) -> None:
    assert b"\r\nContent-Length: 0\r\n" in renderer.render(Response(205), FRAMINGS[KEEP, False])


def test_100_continue_is_a_status_line_and_nothing_more_rfc9110_15_2() -> None:
    assert CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("framing", FRAMINGS.values())
def test_what_is_rendered_again_within_the_second_is_looked_up(renderer: Renderer, framing: Framing) -> None:
    assert renderer.render(HELLO, framing) is renderer.render(HELLO, framing)


@pytest.mark.parametrize("framing", FRAMINGS.values())
def test_a_new_date_makes_all_that_was_rendered_old(renderer: Renderer, framing: Framing) -> None:
    before = renderer.render(HELLO, framing)
    renderer.set_date(DATE.replace(b":37", b":38"))
    assert renderer.render(HELLO, framing) == before.replace(b":37", b":38")


def test_answers_that_are_made_for_each_request_are_not_kept_without_end(renderer: Renderer) -> None:
    framing = FRAMINGS[KEEP, False]
    for number in range(3 * MOST_RENDERED):
        assert renderer.render(Response(200, (), b"%d" % number), framing).endswith(b"\r\n\r\n%d" % number)
        assert len(renderer.rendered[framing]) <= MOST_RENDERED


def test_a_refusal_tells_its_reason_in_plain_text() -> None:
    response = rejected(Rejection(414, "request line too long"))
    assert (response.status, response.body) == (414, b"request line too long\n")
    assert response.fields == ((b"Content-Type", b"text/plain"),)


def test_a_method_that_is_not_allowed_is_told_those_that_are_rfc9110_15_5_6() -> None:
    (name, methods), *others = [field for field in rejected(Rejection(405, "no")).fields if field[0] != b"Content-Type"]
    assert (name, others) == (b"Allow", [])
    assert {b"GET", b"HEAD", b"POST"} <= set(methods.split(b", "))
    assert not {b"TRACE", b"CONNECT"} & set(methods.split(b", "))


# Answers that are made for one request


@pytest.mark.parametrize(
    ("status", "length", "connection", "said"),
    [
        (200, None, KEEP, b"Content-Length: 5\r\nDate: %b\r\n" % DATE),
        (200, 5, KEEP, b"Date: %b\r\n" % DATE),
        (200, 5, CLOSE, b"Date: %b\r\nConnection: close\r\n" % DATE),
    ],
)
def test_an_answer_of_an_application_is_completed(
    renderer: Renderer, status: int, length: int | None, connection: bytes, said: bytes
) -> None:
    answer = Whole(AnswerHead(status, b"HTTP/1.1 200 OK\r\n", length), b"Hello")
    for _ in range(2):
        assert (
            b"".join(renderer.whole(answer, FRAMINGS[connection, False]))
            == b"HTTP/1.1 200 OK\r\n" + said + b"\r\nHello"
        )
        head = b"HTTP/1.1 200 OK\r\n" + said.removeprefix(b"Content-Length: 5\r\n") + b"\r\n"
        assert b"".join(renderer.whole(answer, FRAMINGS[connection, True])) == head


@pytest.mark.parametrize(("status", "said"), [(204, b""), (304, b""), (205, b"Content-Length: 0\r\n")])
def test_an_answer_without_content_has_no_length_unless_that_is_0_rfc9110_15_3_6(
    renderer: Renderer, status: int, said: bytes
) -> None:
    rendered = b"".join(renderer.whole(Whole(AnswerHead(status, b"HTTP/1.1 %d \r\n" % status)), FRAMINGS[KEEP, False]))
    assert rendered == b"HTTP/1.1 %d \r\n%bDate: %b\r\n\r\n" % (status, said, DATE)


def test_an_application_may_have_said_the_date(renderer: Renderer) -> None:
    answer = Whole(AnswerHead(200, b"HTTP/1.1 200 OK\r\nDate: its\r\n", 5, dated=True), b"Hello")
    assert b"".join(renderer.whole(answer, FRAMINGS[KEEP, False])) == b"HTTP/1.1 200 OK\r\nDate: its\r\n\r\nHello"


def test_heads_of_applications_are_forgotten_each_second_and_when_they_are_many(renderer: Renderer) -> None:
    framing = FRAMINGS[KEEP, False]
    for _ in range(MOST_HEADS + 1):
        renderer.whole(Whole(AnswerHead(200, b"", 0)), framing)
    assert len(renderer.heads[framing]) == 1
    renderer.set_date(DATE)
    assert renderer.heads[framing] == {}
