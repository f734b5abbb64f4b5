"""The commands that serve. Their flags are the keys of the schema."""

import os
from functools import partial
from typing import Final

import click

from prefork import run
from prefork.commands.options import CONTEXT, KEYS_BY_PARAMETER, KeyedCommand, flag, version_option
from prefork.commands.step import Step
from prefork.config.describe import as_toml
from prefork.config.keys import KEYS
from prefork.config.literals import bare
from prefork.config.load import load
from prefork.master.state import read_state

_NOTES: Final = """\
Times are written as 30, 1.5s, 500ms, 2m or 1h, sizes as 4096, 8k or 16MiB.

Each option is also a key of the configuration file, keep_alive_timeout, and a variable, PREFORK_KEEP_ALIVE_TIMEOUT; those
of the hello are in its table [hello], and PREFORK_HELLO_BODY. A flag has precedence over a variable, that over the file,
that over the default. WEB_CONCURRENCY and PORT are honoured too. No file is read unless --config or PREFORK_CONFIG names it.
"""


def hello_command() -> click.Command:
    """Return the command that serves the hello."""
    return KeyedCommand(
        "hello",
        params=[*map(flag, KEYS.values()), *_other_options()],
        callback=_hello,
        context_settings=CONTEXT,
        help='Serve "Hello, world!" over HTTP, with a master and its workers. Defaults are in brackets.',
        epilog=_NOTES,
    )


def _hello(config: str | None, *, check_config: bool, print_config: bool, **given: object) -> Step | None:
    flags = {KEYS_BY_PARAMETER[name].name: value for name, value in given.items() if value not in (None, ())}
    reread = partial(load, config, os.environ, flags)
    former = read_state(os.environ)
    if former is not None and not check_config:
        return partial(run.resume, "prefork-hello", former, reread)
    loaded = reread()
    if print_config or check_config:
        for each in (loaded.config, former.config if former else None) if check_config else ():
            if each is not None:
                run.secured(each)  # raises StartError
        click.echo(as_toml(loaded) if print_config else f"{bare(loaded.path or 'configuration')}: ok")
        return None
    return partial(run.serve, "prefork-hello", loaded, reread)


def _other_options() -> list[click.Parameter]:
    return [
        click.Option(["-c", "--config"], metavar="PATH", help="Read this TOML file; no other is ever read."),
        click.Option(["--check-config"], is_flag=True, help="Check the configuration, and exit."),
        click.Option(["--print-config"], is_flag=True, help="Print values and their origins, and exit."),
        version_option(),
    ]
