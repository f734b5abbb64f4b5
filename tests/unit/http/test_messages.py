"""The values that the rest of HTTP is told in."""

from prefork.http.messages import CLOSE, FRAMINGS, Rejection, Request


def test_a_field_is_found_by_its_lower_case_name_the_first_of_several() -> None:
    request = Request(b"GET", b"/", 1, ((b"host", b"a"), (b"x", b"1"), (b"x", b"2")))
    assert request.field(b"x") == b"1"


def test_a_field_that_is_not_there_is_empty() -> None:
    assert Request(b"GET", b"/", 1, ()).field(b"x") == b""


def test_only_the_framing_that_says_close_ends_the_connection() -> None:
    assert len(FRAMINGS) == 6
    for (connection, head_only), framing in FRAMINGS.items():
        assert framing.keep_alive is (connection != CLOSE)
        assert (framing.connection, framing.head_only) == (connection, head_only)


def test_a_rejection_says_its_status_and_reason() -> None:
    rejection = Rejection(414, "request line too long")
    assert (rejection.status, rejection.reason) == (414, "request line too long")
    assert str(rejection) == "(414, 'request line too long')"
