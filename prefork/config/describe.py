"""The effective configuration as text: a file that would give the same one, and says where each value came from."""

from itertools import groupby
from operator import attrgetter
from typing import Final

from prefork.config.keys import KEYS, Key
from prefork.config.literals import literal
from prefork.config.load import Loaded

_WIDTH: Final = 40  # columns before the origins; some entry always takes about as many


def as_toml(loaded: Loaded) -> str:
    """Return valid TOML, a line a key, the origin of each value as a comment; a key without a value is a comment."""
    entries = {key: _entry(key, loaded) for key in KEYS.values() if key.name in loaded.origins}
    lines = []
    for table, keys in groupby(entries, key=attrgetter("table")):
        lines += ["", f"[{table}]"] if table else []
        lines += [f"{entries[key]:{_WIDTH}}  # {loaded.origins[key.name]}" for key in keys]
    return "\n".join(lines)


def _entry(key: Key, loaded: Loaded) -> str:
    value = attrgetter(key.name)(loaded.config)
    return f"# {key.leaf} is not set" if value is None else f"{key.leaf} = {literal(key.option.kind.spell(value))}"
