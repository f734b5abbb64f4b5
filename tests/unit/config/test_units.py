"""Durations, sizes and modes: read, refused, and written back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.config.units import format_duration, format_mode, format_size, parse_duration, parse_mode, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("0", 0), ("1.5s", 1.5), ("500ms", 0.5), ("9ms", 0.009), ("2m", 120), ("1h", 3600), ("0.5h", 1800)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " 30",
        "30 s",
        "30\n",
        "s",
        "-1",
        "+1",
        "1,5",
        ".5",
        "1.",
        "1e3",
        "nan",
        "inf",
        "1d",
        "1M",
        "1S",
        "٣٠",
        "\uff13\uff10s",
        "9" * 5000,
    ],
)
def test_what_is_no_duration_is_none(text: str) -> None:
    assert parse_duration(text) is None


@given(
    st.floats(0.001, 24 * 3600) | st.integers(1, 24 * 3600).map(float) | st.integers(1, 10**6).map(lambda n: n / 1000)
)
def test_a_duration_written_is_read_as_the_same(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3600.0, "1h"),
        (86400.0, "24h"),
        (120.0, "2m"),
        (90.0, "90s"),
        (1.0, "1s"),
        (1.5, "1500ms"),
        (0.001, "1ms"),
        (0.0015, "0.0015s"),
        (0.0, "0s"),
    ],
)
def test_a_duration_is_written_in_the_largest_unit_that_divides_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("0", 0),
        ("8k", 8192),
        ("8K", 8192),
        ("8KiB", 8192),
        ("16MiB", 16 * 1024**2),
        ("2g", 2 * 1024**3),
        ("1tib", 1024**4),
    ],
)
def test_a_size_is_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", " 8k", "8 k", "8kb", "16MB", "1.5k", "-1", "k", "8p", "٨k", "8\u212a", "9" * 5000]
)
def test_what_is_no_size_is_none(text: str) -> None:
    assert parse_size(text) is None


@given(st.integers(0, 2**50) | st.integers(0, 1024).map(lambda n: n * 1024**2))
def test_a_size_written_is_read_as_the_same(size: int) -> None:
    assert parse_size(str(format_size(size))) == size


@pytest.mark.parametrize(("size", "text"), [(8192, "8KiB"), (1024**2, "1MiB"), (1536, 1536), (0, 0), (1024**4, "1TiB")])
def test_a_size_is_written_in_the_largest_unit_that_divides_it(size: int, text: int | str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize("text", ["0660", "660", "0o660"])
def test_a_mode_is_read_as_octal(text: str) -> None:
    assert parse_mode(text) == 0o660


@pytest.mark.parametrize("text", ["", "66", "0668", "01777", "6600", "rw-rw----", "0x1b0", " 660", "٦٦٠"])
def test_what_is_no_mode_is_none(text: str) -> None:
    assert parse_mode(text) is None


@given(st.integers(0, 0o777))
def test_a_mode_written_is_read_as_the_same(mode: int) -> None:
    assert parse_mode(format_mode(mode)) == mode
