"""Values as TOML writes them, for --print-config and for the `got …` of an error. Pure.

What is not printable is escaped, so that a value can neither break a line nor talk to a terminal.
"""

from collections.abc import Mapping
from typing import Final

_ESCAPES: Final[Mapping[str, str]] = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NAMES: Final[Mapping[type[object], str]] = {dict: "a table", list: "a list"}
_LONGEST_SHOWN: Final = 60
_LARGEST_SHOWN: Final = 10**20


def quote(text: str) -> str:
    """Return `text` as a TOML basic string on one line."""
    return f'"{"".join(map(_escape, text))}"'


def bare(text: str) -> str:
    """Return `text` itself where it reads well unquoted, else quoted; for paths and keys."""
    return text if text and text.isprintable() else quote(text)


def literal(value: object) -> str:
    """Return a string, a number, a bool or a list of those in TOML."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return str(value)


def shown(value: object) -> str:
    """Return what an error says it got; `value` is anything that TOML can hold, of any size."""
    if isinstance(value, str):
        return quote(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…")
    if isinstance(value, int) and abs(value) > _LARGEST_SHOWN:  # str() of a huge one raises
        return "a huge number"
    if isinstance(value, int | float):
        return literal(value)
    return _NAMES.get(type(value), "a date or time")


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"
