"""Heads of answers, as applications say them: what can be said, what can't, and that it is remembered."""

from collections.abc import Iterator
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.apps import answer_heads
from prefork.apps.answer_heads import HOP_BY_HOP, LONGEST_REMEMBERED, MOST_REMEMBERED, HeaderError, head_of, with_length


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    answer_heads.remembered.clear()
    answer_heads.latest.clear()
    yield
    answer_heads.remembered.clear()
    answer_heads.latest.clear()


class Text(str):
    """A string of an application's own kind, such as those that are marked as safe for HTML."""

    __slots__ = ()


class Name(StrEnum):
    """Strings with a name."""

    ONE = "X-One"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("200 OK", b"HTTP/1.1 200 OK\r\n"),
        ("404 ", b"HTTP/1.1 404 \r\n"),
        ("599 Très spécial", b"HTTP/1.1 599 Tr\xe8s sp\xe9cial\r\n"),
        ("200", b"HTTP/1.1 200 \r\n"),
    ],
)
def test_the_status_is_said_as_it_is_given(status: str, line: bytes) -> None:
    head = head_of(status, [])
    assert (head.status, head.block, head.length, head.dated) == (int(line[9:12]), line, None, False)


@pytest.mark.parametrize(
    "status", ["", "OK", "100 Continue", "199 X", "600 X", "20 OK", "2000 OK", "200OK", "200 O\r\nK", "200 Ł", 200, b"200"]
)  # fmt: skip
def test_what_is_no_status_of_an_answer_is_refused(status: str) -> None:
    with pytest.raises(HeaderError, match="the status must be a string such as"):
        head_of(status, [])


def test_fields_are_said_in_their_order_and_as_often_as_they_are_given() -> None:
    head = head_of("200 OK", [("Set-Cookie", "a=1"), ("X-Empty", ""), ("Set-Cookie", "b=\xe9")])
    assert head.block == b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Empty: \r\nSet-Cookie: b=\xe9\r\n"


@pytest.mark.parametrize("header", [(Text("X-One"), Text("1")), (Name.ONE, "1")])
def test_a_string_is_whatever_its_class_says_what_is_in_it(header: tuple[str, str]) -> None:
    assert head_of("200 OK", [header]).block.endswith(b"\r\nX-One: 1\r\n")


@pytest.mark.parametrize(
    "value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b", "\x7f", "a\x1bb", "Ł", "a\u2028b"]
)  # fmt: skip
def test_a_value_that_would_be_more_than_one_field_is_refused(value: str) -> None:
    with pytest.raises(HeaderError, match="X-One can't have the value"):
        head_of("200 OK", [("X-One", value)])


@pytest.mark.parametrize("name", ["", "X One", "X:One", "X-One\r\nX-Two", "X-\xe9", "X\n"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(HeaderError, match="is no name of a header"):
        head_of("200 OK", [(name, "1")])


@pytest.mark.parametrize(
    "header", [["X", "1"], ("X",), ("X", "1", "2"), ("X", 1), (b"X", "1"), ("X", None), "X1", None, ("X", ["1"])]
)
def test_what_is_no_pair_of_strings_is_refused(header: tuple[str, str]) -> None:
    with pytest.raises(HeaderError, match="a header must be a pair of strings"):
        head_of("200 OK", [header])


@pytest.mark.parametrize("headers", [(("X", "1"),), iter([("X", "1")]), {"X": "1"}])
def test_headers_that_are_no_list_are_refused(headers: list[tuple[str, str]]) -> None:
    head_of("200 OK", [("X", "1")])  # what is in them may well have been said in a list
    with pytest.raises(HeaderError, match="the headers must be a list"):
        head_of("200 OK", headers)


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_what_is_between_server_and_client_is_refused_in_any_case(name: str) -> None:
    for spelled in name, name.title(), name.upper():
        with pytest.raises(HeaderError, match="is for the server to send"):
            head_of("200 OK", [(spelled, "x")])


def test_the_length_is_taken_from_content_length_in_any_case() -> None:
    head = head_of("200 OK", [("content-LENGTH", "12")])
    assert (head.length, head.block.count(b"content-LENGTH: 12\r\n")) == (12, 1)


@pytest.mark.parametrize("value", ["", "-1", "+1", "1.0", "0x1", "1 ", "1, 1", "\xb2", "9" * 19])
def test_a_length_that_is_no_decimal_number_is_refused(value: str) -> None:
    with pytest.raises(HeaderError, match="Content-Length must be one decimal number"):
        head_of("200 OK", [("Content-Length", value)])


def test_two_lengths_are_one_if_they_are_the_same_and_else_refused() -> None:
    same = head_of("200 OK", [("Content-Length", "5"), ("Content-Length", "5")])
    assert (same.length, same.block.count(b"Content-Length")) == (5, 1)
    with pytest.raises(HeaderError, match="Content-Length must be one"):
        head_of("200 OK", [("Content-Length", "5"), ("Content-Length", "6")])


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
def test_an_answer_without_content_says_no_length_that_a_client_would_wait_for_rfc9110_8_6(status: str) -> None:
    head = head_of(status, [("Content-Length", "5"), ("ETag", '"a"')])
    assert head.length is None
    assert b"Content-Length" not in head.block
    assert b"ETag" in head.block


def test_an_application_may_say_the_date_itself() -> None:
    assert head_of("200 OK", [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("X", "1")]).dated


def test_a_head_that_was_said_before_is_the_same() -> None:
    said = [head_of("200 OK", [("X", str(number % 2))]) for number in range(4)]
    assert said[0] is said[2]
    assert said[1] is said[3]
    assert said[0] is not said[1]


def test_no_more_heads_are_remembered_than_so_many_and_no_long_ones() -> None:
    for number in range(MOST_REMEMBERED + 1):
        head_of("200 OK", [("X", str(number))])
    assert len(answer_heads.remembered) == 1
    head = head_of("200 OK", [("X", "x" * LONGEST_REMEMBERED)])
    assert head.block == b"HTTP/1.1 200 OK\r\nX: " + b"x" * LONGEST_REMEMBERED + b"\r\n"
    assert len(answer_heads.remembered) == 1


def test_a_head_can_be_completed_with_its_length() -> None:
    head = with_length(head_of("206 Partial Content", [("Date", "x")]), 7)
    assert (head.status, head.length, head.dated) == (206, 7, True)
    assert head.block.endswith(b"\r\nDate: x\r\nContent-Length: 7\r\n")


@given(
    status=st.from_regex(r"[0-9]{1,4}( .{0,5})?", fullmatch=True) | st.just("200 OK"),
    headers=st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=3),
)
def test_whatever_is_said_there_are_as_many_lines_as_fields_or_none(
    status: str, headers: list[tuple[str, str]]
) -> None:
    try:
        head = head_of(status, headers)
    except HeaderError:
        return
    lines = head.block.split(b"\r\n")
    assert lines.pop() == b""
    assert len(lines) <= 1 + len(headers)
    assert not any(byte in line for line in lines for byte in b"\r\n\0")
