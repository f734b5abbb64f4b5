"""What is printed is valid TOML, on one line, and harmless to a terminal."""

import datetime as dt
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.config.literals import bare, literal, quote, shown


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_toml_reads_a_quoted_text_as_the_same(text: str) -> None:
    assert tomllib.loads(f"x = {quote(text)}") == {"x": text}


@given(st.text())
def test_a_quoted_text_is_one_printable_line(text: str) -> None:
    assert quote(text).isprintable()


@given(
    st.recursive(
        st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False)
        | st.text(st.characters(blacklist_categories=["Cs"])),
        st.lists,
    )
)
def test_toml_reads_a_literal_as_the_same(value: object) -> None:
    assert tomllib.loads(f"x = {literal(value)}") == {"x": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("many", '"many"'),
        ("", '""'),
        ("a\x1b[31m\n\t\r", '"a\\U0000001b[31m\\n\\t\\r"'),
        (True, "true"),
        (-3, "-3"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ({"a": 1}, "a table"),
        ([1], "a list"),
        (dt.date(2024, 1, 1), "a date or time"),
    ],
)
def test_an_error_shows_what_it_got(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("sign", [1, -1])
def test_an_error_survives_a_number_too_huge_to_be_written(sign: int) -> None:
    assert shown(sign * 16**10_000) == "a huge number"


def test_an_error_shows_only_the_start_of_a_long_text() -> None:
    assert shown("x" * 60) == f'"{"x" * 60}"'
    assert shown("x" * 61) == f'"{"x" * 60}…"'


@pytest.mark.parametrize(("text", "plain"), [("a b", "a b"), ("", '""'), ("a\nb", '"a\\nb"')])
def test_a_name_is_quoted_only_where_it_has_to_be(text: str, plain: str) -> None:
    assert bare(text) == plain
