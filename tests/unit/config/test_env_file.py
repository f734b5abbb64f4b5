"""The file of an application's variables."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.config.env_file import read_env_file
from prefork.config.errors import ConfigError


def read(folder: Path, text: str) -> dict[str, str]:
    path = folder / "env"
    path.write_text(text, encoding="utf-8", newline="")
    return read_env_file(str(path))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A=", ""),
        ("A = b", "b"),
        ("  A=b  ", "b"),
        ("export A=b", "b"),
        ("export\tA=b c", "b c"),
        ("A=b # c", "b"),
        ("A=b#c", "b#c"),
        ("A=# c", ""),
        ("A=b=c", "b=c"),
        ("A=$HOME", "$HOME"),
        ("A=it's", "it's"),
        ('A="b # c"', "b # c"),
        ('A="b" # c', "b"),
        (r'A="b\n\t\"\\\$\x"', 'b\n\t"\\$\\x'),
        ("A=''", ""),
        (r"A='b\n'", r"b\n"),
        ("A='\"'", '"'),
        ("A=grün", "grün"),
        ("A=b\r", "b"),
        ("A=c\nA=b", "b"),
        ("A=c\r\nA=b", "b"),
        ("# A=c\n\n  # x\nA=b\n", "b"),
        ("\ufeffA=b", "b"),
    ],
)
def test_a_line_gives_a_variable(tmp_path: Path, line: str, value: str) -> None:
    assert read(tmp_path, line + ("\n" if line.endswith("\r") else "")) == {"A": value}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A", ":1: expected KEY=VALUE"),
        ("A=b\n=c", ":2: expected KEY=VALUE"),
        ("\n1A=b", ":2: expected KEY=VALUE"),
        ("A-B=c", ":1: expected KEY=VALUE"),
        ('A="b', ':1: expected a value that ends with its quote, "'),
        ("A='b' c", ":1: expected a value that ends with its quote, '"),
        ("A=b\0c", ":1: A: a variable has no NUL"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert (str(error.value), error.value.status) == (f"{tmp_path}/env{problem}", 78)


def test_a_file_that_is_not_there_or_not_text_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read_env_file(str(tmp_path / "none"))
    assert (str(error.value), error.value.status) == (
        f"env_file: {tmp_path}/none: cannot be read: no such file or directory",
        66,
    )
    (tmp_path / "latin").write_bytes(b"A=\xe4")
    with pytest.raises(ConfigError, match="latin: not UTF-8"):
        read_env_file(str(tmp_path / "latin"))


def test_without_a_file_there_are_no_variables() -> None:
    assert read_env_file(None) == {}


@given(value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n'")))
def test_what_is_in_single_quotes_is_itself(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    assert read(tmp_path_factory.getbasetemp(), f"A='{value}'{os.linesep}") == {"A": value}
