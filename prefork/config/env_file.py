r"""Reads the variables of an application from a file of lines KEY=VALUE.

    # a comment
    export DEBUG=0          # the word export is overlooked, and so is this
    NAME = "two\nlines"     # in double quotes \n, \t, \", \\ and \$ are escapes
    SECRET='#1 \n'          # in single quotes nothing is

No value refers to another: `$` is a character as any.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from typing import Final

from prefork.config.errors import ConfigError
from prefork.config.literals import bare
from prefork.config.reading import exit_status, read_regular

_LINE: Final = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(?P<rest>.*)", re.DOTALL)
_QUOTED: Final = re.compile(r"""(?:"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>[^']*)')[ \t]*(?:\#.*)?""", re.DOTALL)
_COMMENT: Final = re.compile(r"(?:^|[ \t]+)#.*", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final[Mapping[str, str]] = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def read_env_file(path: str | None) -> dict[str, str]:
    """Return the variables of the file, the last of a name; none where there is no path.

    Raises:
        ConfigError: 66 where there is no such file, 77 where it may not be read, 78 for what it is, or what is in it.
    """
    if path is None:
        return {}
    try:
        return dict(_variables(path, read_regular(path).removeprefix(BOM_UTF8).decode()))
    except OSError as error:
        problem = f"{bare(path)}: cannot be read: {str(error.strerror).lower()}"
        raise ConfigError("env_file", "", problem, status=exit_status(error)) from None
    except UnicodeDecodeError:
        raise ConfigError(bare(path), "", "not UTF-8") from None


def _variables(path: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        stripped = line.strip(" \t")
        if stripped and not stripped.startswith("#"):
            try:
                yield _variable(stripped)
            except ValueError as error:
                raise ConfigError(f"{bare(path)}:{number}", "", str(error)) from None


def _variable(line: str) -> tuple[str, str]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError("expected KEY=VALUE")
    name, rest = found["name"], found["rest"]
    value = _unquoted(rest) if rest.startswith(('"', "'")) else _COMMENT.sub("", rest)
    if "\0" in value:
        raise ValueError(f"{name}: a variable has no NUL")
    return name, value


def _unquoted(rest: str) -> str:
    found = _QUOTED.fullmatch(rest)
    if found is None:
        raise ValueError(f"expected a value that ends with its quote, {rest[0]}")
    if found["single"] is not None:
        return found["single"]
    return _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[0]), found["double"])
