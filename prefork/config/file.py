"""The configuration file: from a path to settings that know their lines."""

import difflib
import re
import tomllib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from typing import Any, Final

from prefork.config.errors import ConfigError
from prefork.config.foreign import LEAVE_OUT
from prefork.config.keys import KEYS, Key, closest, is_needless
from prefork.config.lines import Names, key_lines
from prefork.config.literals import bare, shown
from prefork.config.reading import exit_status, read_regular_or_pipe
from prefork.config.setting import Setting

_BY_NAMES: Final[Mapping[Names, Key]] = {tuple(key.name.split(".")): key for key in KEYS.values()}
_TABLES: Final = {key.table for key in KEYS.values() if key.table}

_OTHERS: Final = (".py", ".ini", ".yaml", ".yml", ".json", ".conf")  # gunicorn.conf.py, uwsgi.ini, …

# tomllib ends what it says with "(at line 3, column 5)" or "(at end of document)".
_SYNTAX_ERROR: Final = re.compile(r"(?P<problem>.*) \(at (?:line (?P<line>\d+)|end).*\)", re.DOTALL)


def read_file(path: str) -> Iterator[Setting]:
    """Yield what the file at `path` sets, in its order.

    Raises:
        ConfigError: 66 where there is no such file, 77 where it may not be read, 78 for what it is, or what is in it.
    """
    if not _is_text(path):  # it is in the title of the process, and in what an upgrade passes on
        raise ConfigError(bare(path), "", "the name of this file is not UTF-8, rename it")
    text = _decode(path, _read(path))
    document = _parse(path, text)
    lines = key_lines(text)
    for names, raw in _flatten(document):
        place = _place(path, lines.get(names) or lines.get(names[:1]))
        yield Setting(_key(names, raw, place), raw, place, label=".".join(names))


def _is_text(path: str) -> bool:
    return path.encode(errors="replace").decode() == path


def _read(path: str) -> bytes:
    try:
        return read_regular_or_pipe(path)
    except OSError as error:
        problem = f"cannot be read: {str(error.strerror).lower()}"
        raise ConfigError(bare(path), "", problem, status=exit_status(error)) from None


def _decode(path: str, content: bytes) -> str:
    try:
        return content.removeprefix(BOM_UTF8).decode()  # by utf-8-sig, a reload might have to load a codec first
    except UnicodeDecodeError as error:
        raise ConfigError(_place(path, error.object.count(b"\n", 0, error.start) + 1), "", "not UTF-8") from None


def _parse(path: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX_ERROR.fullmatch(str(error))
        line = int(found["line"]) if found and found["line"] else text.count("\n") + 1
        problem = found["problem"] if found else str(error)
        raise ConfigError(_place(path, line), "", f"not valid TOML: {problem}", _hint_at_file(path)) from None
    except ValueError:
        raise ConfigError(bare(path), "", "not valid TOML: a number has too many digits") from None
    except RecursionError:
        raise ConfigError(bare(path), "", "not valid TOML: nested too deeply") from None


def _hint_at_file(path: str) -> str:
    return "write the settings of another server as TOML, by our names" if path.endswith(_OTHERS) else ""


def _flatten(document: Mapping[str, Any]) -> Iterator[tuple[Names, object]]:
    for name, raw in document.items():
        if name in _TABLES and isinstance(raw, dict):
            yield from (((name, leaf), value) for leaf, value in raw.items())
        else:
            yield (name,), raw


def _key(names: Names, raw: object, place: str) -> Key:
    if names in _BY_NAMES:
        return _BY_NAMES[names]
    label = ".".join(map(bare, names))
    if label in _TABLES:
        raise ConfigError(place, label, f"expected a table, got {shown(raw)}")
    raise ConfigError(place, label, "unknown key", _hint(names, raw))


def _hint(names: Names, raw: object) -> str:
    if is_needless(names[-1]):
        return LEAVE_OUT
    meant = None if isinstance(raw, dict) else closest(names[-1])
    if meant is None:
        tables = difflib.get_close_matches(names[0], _TABLES - {names[0]})
        return f"did you mean [{tables[0]}]?" if tables else ""
    if meant.table == ".".join(names[:-1]):
        return f'did you mean "{meant.leaf}"?'
    return f'did you mean "{meant.leaf}" {f"in [{meant.table}]" if meant.table else "above the first table"}?'


def _place(path: str, line: int | None) -> str:
    return f"{bare(path)}:{line}" if line else bare(path)
