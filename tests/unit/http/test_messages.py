"""The values that the rest of HTTP is told in."""

import pytest

from prefork.http.messages import CLOSE, FRAMINGS, Rejection, Request, Response


def test_a_field_is_found_by_its_lower_case_name_the_first_of_several() -> None:
    request = Request(b"GET", b"/", 1, b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n")
    assert request.field(b"x") == b"1"


def test_a_field_that_is_not_there_is_empty() -> None:
    assert Request(b"GET", b"/", 1, b"GET / HTTP/1.1\r\n\r\n").field(b"x") == b""


def test_only_the_framing_that_says_close_ends_the_connection() -> None:
    assert len(FRAMINGS) == 6
    for (connection, head_only), framing in FRAMINGS.items():
        assert framing.keep_alive is (connection != CLOSE)
        assert (framing.connection, framing.head_only) == (connection, head_only)


def test_a_rejection_says_its_status_and_reason() -> None:
    rejection = Rejection(414, "request line too long")
    assert (rejection.status, rejection.reason) == (414, "request line too long")
    assert str(rejection) == "(414, 'request line too long')"


@pytest.mark.parametrize(
    "field",
    [
        (b"X", b"a\r\nSet-Cookie: b"), (b"X", b"a\nb"), (b"X", b"a\rb"), (b"X", b"\x00"), (b"X", b"\x1b"), (b"X", b"\x7f"),
        (b"X\r\nY", b"a"), (b"X: a\r\nY", b"a"), (b"X Y", b"a"), (b"", b"a"), (b"X:", b"a"), (b"X\xe9", b"a"),
    ],
)  # fmt: skip
def test_no_application_can_put_a_line_into_an_answer_rfc9110_5_5(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="invalid field line"):
        Response(200, ((b"A", b"b"), field))


@pytest.mark.parametrize("name", [b"Connection", b"content-length", b"Date", b"TRANSFER-ENCODING"])
def test_no_application_frames_its_answer_rfc9112_6(name: bytes) -> None:
    with pytest.raises(ValueError, match="is for the server to send"):
        Response(200, ((name, b"5"),))


@pytest.mark.parametrize("status", [-1, 0, 99, 100, 101, 199, 600, 1000])
def test_no_application_answers_with_what_is_no_final_status_rfc9110_15(status: int) -> None:
    with pytest.raises(ValueError, match="is not from 200 to 599"):
        Response(status)
    assert (Response(200).status, Response(599).status) == (200, 599)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_some_answers_have_no_body_rfc9110_6_4_1(status: int) -> None:
    assert Response(status).body == b""
    with pytest.raises(ValueError, match="has no body"):
        Response(status, (), b"a")


def test_field_values_may_hold_tabs_and_any_byte_above_ascii_rfc9110_5_5() -> None:
    assert Response(200, ((b"X-!#$%&'*+.^_`|~9", b"\ta b\xff"), (b"Y", b""))).status == 200


def test_the_fields_of_a_request_are_read_when_they_are_asked_for_and_once() -> None:
    request = Request(b"GET", b"/", 1, b"GET / HTTP/1.1\r\nHost:a\r\nX: \t 1 2 \t\r\nY:\r\n\r\n")
    fields = request.fields
    assert fields == ((b"host", b"a"), (b"x", b"1 2"), (b"y", b""))
    assert request.fields is fields


@pytest.mark.parametrize(
    ("target", "is_so"),
    [(b"https://a/", True), (b"HTTPS://a/", True), (b"http://a/", False), (b"/https:", False), (b"*", False)],
)
def test_a_request_for_https_is_one_by_its_target_rfc9110_4_2_2(target: bytes, *, is_so: bool) -> None:
    assert Request(b"GET", target, 1, b"").is_for_https is is_so
