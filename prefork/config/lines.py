r"""Finds the lines of the keys in a TOML text, because tomllib doesn't tell them. Pure.

It relies on tomllib having read the text before: what looks like a key at the start of a line is one, unless it stands
in a string of several lines. A key written inside of an inline table has no line of its own.
"""

import re
from collections.abc import Mapping
from typing import Final

Names = tuple[str, ...]

# Comments and strings of one line are matched as well, so that a quote inside of them opens nothing.
_OPAQUE: Final = re.compile(
    r"""
      (?P<long> \"{3} (?: \\. | [^\\] )*? \"{3,5} | '{3} .*? '{3,5} )
    | \# [^\n]*
    | \" (?: \\. | [^\"\\\n] )* \"
    | ' [^'\n]* '
    """,
    re.VERBOSE | re.DOTALL,
)
_NAME: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_NAMES: Final = rf"{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*"
_LINE: Final = re.compile(rf"[ \t]*(?:\[\[?[ \t]*(?P<table>{_NAMES})[ \t]*\]|(?P<key>{_NAMES})[ \t]*=)")


def key_lines(text: str) -> Mapping[Names, int]:
    """Return the line, counted from 1, of every table and key by the names that lead to it: `("hello", "body")`."""
    lines: dict[Names, int] = {}
    table: Names = ()
    for number, line in enumerate(_OPAQUE.sub(_blank_long, text).split("\n"), start=1):
        found = _LINE.match(line)
        if found is None:
            continue
        names = tuple(name.strip("\"'") for name in re.findall(_NAME, found["table"] or found["key"]))
        table = names if found["table"] else table
        lines.setdefault(names if found["table"] else table + names, number)
    return lines


def _blank_long(opaque: re.Match[str]) -> str:
    return "\n" * opaque[0].count("\n") if opaque["long"] else opaque[0]
