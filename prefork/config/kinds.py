"""Kinds of values: what a key accepts, how an error and the help say it, and how it is written back. Pure.

A value has three forms. *Text* stands in a flag or an environment variable, *raw* is what TOML holds, and the *value*
is what Config holds: "8k" and 8192. Text is lifted to raw, raw is parsed to the value, and the value is spelled as raw
again.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from prefork.config import units
from prefork.config.addresses import UNFIT, Address, Passed, meant_address, parse_address
from prefork.config.literals import quote, shown

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_TRUTH: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class Kind(Struct, frozen=True):
    """`expected` ends the sentence "expected …"; `placeholder` stands for the value in the help.

    `accept` returns the value of a raw, or None where it isn't what was expected; it raises ValueError where it can say
    more. `words` are what a path may be that is none.
    """

    expected: str
    placeholder: str
    accept: Callable[[object], object | None]
    lift: Callable[[str], object] = str
    spell: Callable[[Any], object] = lambda value: value  # Any: each kind spells only the values that it parsed
    words: Sequence[str] = ()

    def parse(self, raw: object) -> object:
        """Return the value; raise ValueError with what was expected and what was got."""
        value = self.accept(raw)
        if value is None:
            raise ValueError(f"expected {self.expected}, got {shown(raw)}")
        return value


def whole_number(low: int, high: int, *, word: str = "", but_not: Sequence[int] = ()) -> Kind:
    """Accept a whole number from `low` to `high`, or `word`, which stands for itself."""

    def accept(raw: object) -> object | None:
        return raw if (word and raw == word) or (_is_whole(raw, low, high) and raw not in but_not) else None

    return Kind(
        expected=f"a whole number from {low} to {high}"
        + (f" or {quote(word)}" if word else "")
        + (f" but not {_either(list(map(str, but_not)))}" if but_not else ""),
        placeholder=f"N|{word}" if word else "N",
        accept=accept,
        lift=lambda text: int(text) if _INTEGER.fullmatch(text) else text,
    )


def duration(low: float, high: float) -> Kind:
    """Accept a duration from `low` to `high` seconds; the value is a float in seconds."""

    def accept(raw: object) -> float | None:
        amount = units.parse_duration(raw) if isinstance(raw, str) else raw
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            return None
        return float(amount) if low <= amount <= high else None

    bounds = f"from {units.format_duration(low)} to {units.format_duration(high)}"
    return Kind(f'a duration {bounds} such as 30, "1.5s" or "2m"', "TIME", accept, spell=units.format_duration)


def size(low: int, high: int) -> Kind:
    """Accept a size from `low` to `high` bytes; the value is an int in bytes."""

    def accept(raw: object) -> object | None:
        amount = units.parse_size(raw) if isinstance(raw, str) else raw
        return amount if _is_whole(amount, low, high) else None

    bounds = f"from {units.format_size(low)} to {units.format_size(high)}"
    return Kind(f'a size {bounds} such as 4096, "8k" or "16MiB"', "SIZE", accept, spell=units.format_size)


def choice(*words: str) -> Kind:
    """Accept one of `words`."""
    return Kind(_either(list(map(quote, words))), "|".join(words), lambda raw: raw if raw in words else None)


def text(expected: str, placeholder: str, pattern: str, meant: Callable[[str], str] = lambda _text: "") -> Kind:
    """Accept a string that matches the whole of `pattern`; `meant` makes one of another, where it can."""
    fits = re.compile(pattern).fullmatch

    def accept(raw: object) -> object | None:
        if not isinstance(raw, str):
            return None
        if not fits(raw):
            _hint_at(expected, raw, nearest if fits(nearest := meant(raw)) else "")
            return None
        return raw

    return Kind(expected, placeholder, accept)


def _hint_at(expected: str, raw: str, meant: str) -> None:
    """Raise ValueError where something else was meant."""
    if meant:
        raise ValueError(f"expected {expected}, got {shown(raw)}, did you mean {meant}?")


def boolean() -> Kind:
    """Accept true or false; text may also say yes, no, on, off, 1 and 0."""
    return Kind(
        expected="true or false",
        placeholder="",
        accept=lambda raw: raw if isinstance(raw, bool) else None,
        lift=lambda text: _TRUTH.get(text.lower(), text),
    )


def mode() -> Kind:
    """Accept permission bits as octal digits in a string, because 660 without quotes is a decimal number."""
    return Kind(
        expected='an octal mode such as "0660"',
        placeholder="MODE",
        accept=lambda raw: units.parse_mode(raw) if isinstance(raw, str) else None,
        spell=units.format_mode,
    )


def addresses() -> Kind:
    """Accept a list of addresses, or a single one; text separates them by commas. The value is a tuple."""
    expected = "HOST:PORT, [IPV6]:PORT, unix:PATH, systemd, systemd:NAME or fd:N"

    def address(raw: object) -> object | None:
        found = parse_address(raw) if isinstance(raw, str) else None
        if found is None and isinstance(raw, str):
            _hint_at(expected, raw, meant_address(raw))
        return found

    one = Kind(expected, "ADDRESS", address)

    def accept(raw: object) -> tuple[object, ...] | None:
        found = tuple(map(one.parse, raw)) if isinstance(raw, list) else (one.parse(raw),)
        if repeated := [address for address in found if found.count(address) > 1]:
            raise ValueError(f"{quote(str(repeated[0]))} is listed twice")
        if Passed() in found and sum(isinstance(each, Passed) for each in found) > 1:
            raise ValueError('"systemd" stands for all names; list it alone, or the names')
        return found or None

    def spell(found: Sequence[Address]) -> list[str]:
        return list(map(str, found))

    return Kind("at least one address", one.placeholder, accept, lift=lambda text: text.split(","), spell=spell)


def path(*words: str) -> Kind:
    """Accept a path, or one of `words`, which stand for something else."""
    return replace(text(_either([*map(quote, words), "a path"]), "PATH", f"[^{UNFIT}]+"), words=words)


def paths() -> Kind:
    """Accept a list, maybe empty, of paths, or one of them."""
    return _several("paths", path())


def networks() -> Kind:
    """Accept a list, maybe empty, of IP addresses, networks, `unix:` for unix sockets and `*` for all, as it is."""

    def accept_one(raw: object) -> object | None:
        if isinstance(raw, str) and raw not in {"unix:", "*"}:
            try:
                ip_network(raw)
            except ValueError:
                return None
        return raw if isinstance(raw, str) else None

    one = Kind('an IP address, a network such as 192.0.2.0/24, "unix:" or "*"', "NETWORK", accept_one)
    return _several("networks", one)


def _several(expected: str, one: Kind) -> Kind:
    """Accept a list of what `one` accepts, or a single one; text separates them by commas. The value is a tuple."""

    def accept(raw: object) -> tuple[object, ...]:
        return tuple(map(one.parse, raw)) if isinstance(raw, list) else (one.parse(raw),)

    return Kind(expected, one.placeholder, accept, lift=lambda text: text.split(",") if text else [], spell=list)


def _is_whole(raw: object, low: int, high: int) -> bool:
    return type(raw) is int and low <= raw <= high  # not isinstance: true is an int to Python, not to a reader


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
