"""The line of each key, whatever way TOML allows it to be written."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prefork.config.lines import key_lines

TRICKY = '''\
# """ opens nothing
log = """
workers = 1
\\""" user = "x"
"""
pid_file = \'\'\'
group = 2
\'\'\'
access_log = "a\\"b # \'\'\'"
bind = [
  "accept = 1",
  \'boot_timeout = 1\',  # ]
]
hello . "body" = "x"
'quoted' = 1
nested = { status = 200 }

 [ table ] # comment
workers = 5
[a."b"]
c.d = 1
[[list]]
'''


def test_keys_are_found_where_they_stand() -> None:
    lines = key_lines(TRICKY)
    assert lines == {
        ("log",): 2,
        ("pid_file",): 6,
        ("access_log",): 9,
        ("bind",): 10,
        ("hello", "body"): 14,
        ("quoted",): 15,
        ("nested",): 16,
        ("table",): 18,
        ("table", "workers"): 19,
        ("a", "b"): 20,
        ("a", "b", "c", "d"): 21,
        ("list",): 22,
    }


def test_windows_line_ends_count_once() -> None:
    assert key_lines("a = 1\r\n[t]\r\nb = 2\r\n") == {("a",): 1, ("t",): 2, ("t", "b"): 3}


strings = st.sampled_from(
    ['"x"', "'x'", '"""\nkey = 1\n"""', "'''\n[key]\n'''", '"\\""', '"#"', '\'"""\'', '"""\\""""', '[\n "key = 1",\n]']
)
comments = st.sampled_from(["", " # x", ' # """', " # '", "\n# key = 1", "\n"])


@given(st.lists(st.tuples(strings, comments)))
def test_every_key_is_found_on_the_line_that_begins_with_it(entries: list[tuple[str, str]]) -> None:
    text = "\n".join(f"k{number} = {value}{comment}" for number, (value, comment) in enumerate(entries))
    document: dict[str, Any] = tomllib.loads(text)
    lines = key_lines(text)
    assert [*lines] == [(name,) for name in document]
    for (name,), number in lines.items():
        assert text.split("\n")[number - 1].startswith(f"{name} = ")
