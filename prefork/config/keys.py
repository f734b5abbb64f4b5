"""The keys of the schema by name, with the spellings that follow from it. Pure."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from prefork.config.foreign import NEEDLESS, NONE, OURS
from prefork.config.option import OWNERS, Option
from prefork.config.schema import Config

PREFIX: Final = "PREFORK_"


class Key(Struct, frozen=True):
    """A key: `name` is dotted where it belongs to a table, as in `workers` and `hello.body`."""

    name: str
    default: object
    option: Option

    @property
    def table(self) -> str:
        """The table that it belongs to, empty for the top."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """Its name inside of that table; no two keys share one."""
        return self.name.rpartition(".")[2]

    @property
    def owner(self) -> str | None:
        """The command that alone has it, None where both have."""
        return OWNERS.get(self.option.group)

    @property
    def flag(self) -> str:
        """`--keep-alive-timeout`, `--body`."""
        return "--" + self.leaf.replace("_", "-")

    @property
    def variable(self) -> str:
        """`PREFORK_KEEP_ALIVE_TIMEOUT`, `PREFORK_HELLO_BODY`."""
        return PREFIX + self.name.replace(".", "_").upper()


def _keys(table: type[Struct], prefix: str = "") -> Iterator[Key]:
    defaults = table()
    for name, hint in table.__annotations__.items():
        if isinstance(hint, type):
            yield from _keys(hint, f"{prefix}{name}.")
        else:
            yield Key(prefix + name, getattr(defaults, name), _option(hint))


def _option(hint: Any) -> Option:  # Any: what Annotated[…] makes has no public type
    option: Option = hint.__metadata__[0]
    return option


KEYS: Final[Mapping[str, Key]] = {key.name: key for key in _keys(Config)}
_LEAVES: Final[Mapping[str, Key]] = {key.leaf: key for key in KEYS.values()}


def keys_of(command: str) -> Mapping[str, Key]:
    """Return the keys that a command has, by their dotted names."""
    return {name: key for name, key in KEYS.items() if key.owner in (None, command)}


def held_until_restart(before: Config, after: Config) -> dict[str, Any]:  # Any: each key has its own type
    """Return the present values, by their keys, that only a restart can replace by those that were read."""
    held = {name: getattr(before, name) for name, key in KEYS.items() if key.option.at_restart}
    return {name: value for name, value in held.items() if value != getattr(after, name)}


def path_in(config: Config, name: str) -> str | None:
    """Return the path that a key has, None where it has none, or a word for something else."""
    path: str | None = getattr(config, name)
    return None if path in KEYS[name].option.kind.words else path


def closest(word: str) -> Key | None:
    """Return the key that `word` was probably meant to be, in whichever table, or None; other servers' lead to ours."""
    theirs = _theirs(word)
    if theirs in NONE or theirs in NEEDLESS:
        return None
    if theirs in OURS:
        return _LEAVES.get(OURS[theirs].removeprefix("--").replace("-", "_"))
    found = difflib.get_close_matches(word.lower().replace("-", "_"), _LEAVES)
    return _LEAVES[found[0]] if found else None


def is_needless(word: str) -> bool:
    """Tell whether it is a key of other servers for what is always so here."""
    return _theirs(word) in NEEDLESS


def _theirs(word: str) -> str:
    return f"--{word.lower().replace('_', '-')}"
