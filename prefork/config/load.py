"""Puts the configuration together: default < file < environment < flag, each value with where it came from.

Every value that is given is checked, also one that is overridden, so that a mistake never waits for the day it matters.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, structs

from prefork.config.errors import ConfigError
from prefork.config.file import read_file
from prefork.config.keys import KEYS, PREFIX, Key, closest
from prefork.config.kinds import whole_number
from prefork.config.schema import Config
from prefork.config.setting import Setting

PATH_VARIABLE: Final = "PREFORK_CONFIG"
INTERNAL_PREFIX: Final = "PREFORK_INTERNAL_"

_BY_VARIABLE: Final[Mapping[str, Key]] = {key.variable: key for key in KEYS.values()}
_PORT: Final = whole_number(0, 65535)

# Kubernetes sets these in every pod beside a service that is called prefork or prefork-something.
_SERVICE_LINK: Final = re.compile(
    r"PREFORK\w*_(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_\w+)=.*|PREFORK\w*_PORT=\w+://.*", re.DOTALL
)


class Loaded(Struct, frozen=True):
    """`origins` tells of each key, by its dotted name, where its value came from: `default`, `config/hello.toml:12`,
    `PREFORK_WORKERS` or `--workers`. `path` is the file that was read, as it was given, if any.
    """

    config: Config
    origins: Mapping[str, str]
    path: str | None


def load(
    path: str | None, environ: Mapping[str, str], flags: Mapping[str, object], keys: Mapping[str, Key] = KEYS
) -> Loaded:
    """Return the effective configuration.

    No file is read unless `path` or PREFORK_CONFIG names one. `flags` are those that were given, by their keys' dotted
    names, each a string, a bool or a sequence of strings. None but `keys` may be given.

    Raises:
        ConfigError: for the first mistake found, with the exit status that it deserves.
    """
    path = environ.get(PATH_VARIABLE) if path is None else path
    settings = [*(read_file(path) if path is not None else ()), *_from_environment(environ), *_from_flags(flags)]
    config = Config()
    origins = dict.fromkeys(keys, "default")
    for setting in settings:
        if setting.key.name not in keys:
            raise ConfigError(setting.place, setting.label, f"belongs to {setting.key.owner}, not to this command")
        config = _with(config, setting.key, setting.value())
        origins[setting.key.name] = setting.place
    return Loaded(config, origins, path)


def _with(config: Config, key: Key, value: object) -> Config:
    if key.table:
        table = structs.replace(getattr(config, key.table), **{key.leaf: value})
        return structs.replace(config, **{key.table: table})
    return structs.replace(config, **{key.leaf: value})


def _from_environment(environ: Mapping[str, str]) -> Iterator[Setting]:
    if (count := environ.get("WEB_CONCURRENCY")) is not None:
        yield _from_text(KEYS["workers"], count, "WEB_CONCURRENCY")
    if (port := environ.get("PORT")) is not None:
        yield _from_port(port)
    for variable, text in environ.items():
        if variable in _BY_VARIABLE:
            yield _from_text(_BY_VARIABLE[variable], text, variable)
        elif variable.startswith(PREFIX) and not _is_foreign(variable, text):
            meant = closest(variable.removeprefix(PREFIX).removeprefix("HELLO_"))
            raise ConfigError(variable, "", "unknown variable", f"did you mean {meant.variable}?" if meant else "")


def _from_text(key: Key, text: str, place: str) -> Setting:
    return Setting(key, key.option.kind.lift(text), place)


def _from_port(text: str) -> Setting:
    try:
        return Setting(KEYS["bind"], f"0.0.0.0:{_PORT.parse(_PORT.lift(text))}", "PORT")
    except ValueError as error:
        raise ConfigError("PORT", "", str(error)) from None


def _is_foreign(variable: str, text: str) -> bool:
    return (
        variable == PATH_VARIABLE
        or variable.startswith(INTERNAL_PREFIX)
        or _SERVICE_LINK.fullmatch(f"{variable}={text}") is not None
    )


def _from_flags(flags: Mapping[str, object]) -> Iterator[Setting]:
    for name, given in flags.items():
        key = KEYS[name]
        raw = key.option.kind.lift(given) if isinstance(given, str) else given
        yield Setting(key, list(raw) if isinstance(raw, tuple) else raw, key.flag, status=os.EX_USAGE)
