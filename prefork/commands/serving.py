"""The commands that serve. Their flags are the keys of the schema that each of them has."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import click
from msgspec import Struct

from prefork.apps.hello import find_hello
from prefork.apps.interface import Find
from prefork.apps.serving import find_application, find_in_development
from prefork.commands.options import CONTEXT, KEYS_BY_PARAMETER, KeyedCommand, Step, flag, version_option
from prefork.config.describe import as_toml
from prefork.config.errors import ConfigError
from prefork.config.keys import Key, keys_of
from prefork.config.literals import bare
from prefork.config.load import Loaded, load
from prefork.config.option import HELLO, RUN
from prefork.config.schema import Config
from prefork.development.watching import check_watching
from prefork.ipc.control_path import service_name
from prefork.master.state import State, read_state
from prefork.run import program
from prefork.run.boot import check
from prefork.run.expiry import Certificate
from prefork.run.extras import secured
from prefork.run.paths import check_paths

_NOTES: Final = """\
Times are written as 30, 1.5s, 500ms, 2m or 1h, sizes as 4096, 8k or 16MiB.

Each option is also a key of the configuration file, keep_alive_timeout, and a variable, PREFORK_KEEP_ALIVE_TIMEOUT{hello}.
A flag has precedence over a variable, that over the file, that over the default. WEB_CONCURRENCY and PORT are honoured too.
No file is read unless --config or PREFORK_CONFIG names it.
"""


class Server(Struct, frozen=True):
    """What a command serves: `check` tells whether a configuration is whole; `name` is the service's by default."""

    keys: Mapping[str, Key]
    find: Find
    check: Callable[[Loaded], None]
    name: Callable[[Config], str]


def hello_command() -> click.Command:
    """Return the command that serves the hello."""
    server = Server(keys_of(HELLO), find_hello, lambda _loaded: None, lambda _config: HELLO)
    return KeyedCommand(
        "hello",
        params=_parameters(server),
        callback=partial(_serve, server),
        context_settings=CONTEXT,
        help='Serve "Hello, world!" over HTTP, with a master and its workers. Defaults are in brackets.',
        epilog=_NOTES.format(hello="; those of the hello are in its table [hello], and PREFORK_HELLO_BODY"),
    )


def run_command() -> click.Command:
    """Return the command that serves the user's own application."""
    server = Server(keys_of(RUN), find_application, _check_application, _named_by_application)
    return KeyedCommand(
        "run",
        params=[click.Argument(["positional"], metavar="[MODULE:CALLABLE]", required=False), *_parameters(server)],
        callback=partial(_serve, server),
        context_settings=CONTEXT,
        help="Serve a WSGI application over HTTP: `shop.wsgi:app`, or `shop:create_app()`. Defaults are in brackets.",
        epilog=_NOTES.format(hello=""),
    )


def _serve(
    server: Server,
    config: str | None,
    *,
    check_config: bool,
    print_config: bool,
    positional: str | None = None,
    **given: object,
) -> Step | None:
    flags = {KEYS_BY_PARAMETER[name].name: value for name, value in given.items() if value not in (None, ())}
    if positional is not None:
        if "app" in flags:
            problem = f"the application is given twice, as {bare(positional)} too"
            raise ConfigError("--app", "", problem, status=os.EX_USAGE)
        flags["app"] = positional
    reread = partial(_reread, server, config, flags)
    # The flag alone: a file or a variable that asks for it may have been meant for another machine.
    find = find_in_development if flags.get("reload") is True else server.find
    former = read_state(os.environ)
    if former is not None and not check_config:
        return partial(program.resume, server.name(former.config), find, former, reread)
    loaded = reread()
    if check_config:
        _check(server, loaded, former)
    if print_config or check_config:
        click.echo(as_toml(loaded) if print_config else f"{bare(loaded.path or 'configuration')}: ok")
        return None
    return partial(program.serve, server.name(loaded.config), find, loaded, reread)


def _reread(server: Server, path: str | None, flags: Mapping[str, object]) -> Loaded:
    loaded = load(path, os.environ, flags, server.keys)
    server.check(loaded)
    return loaded


def _check(server: Server, loaded: Loaded, former: State | None) -> None:
    """Raise StartError for what a start, or going on from a former program, would fail by."""
    _, certificates = secured(loaded.config)
    if former is None:
        check_paths(loaded.config)
        _warn(certificates)
    else:  # its files are open
        secured(former.config)
    check_watching(loaded.config)
    if loaded.config.app is not None:
        check(loaded.config, server.find)


def _warn(certificates: Sequence[Certificate]) -> None:
    """Tell of certificates what the log would."""
    command = click.get_current_context().find_root().info_name
    for certificate in certificates:
        for warning in certificate.warnings(time.time()):
            click.echo(f"{command}: warning: {bare(certificate.path)}: {warning}", err=True)


def _check_application(loaded: Loaded) -> None:
    if loaded.config.app is None:
        problem = "no application, name it as in `prefork run shop.wsgi:app` or set app in the configuration"
        raise ConfigError(bare(loaded.path) if loaded.path else "", "", problem, status=os.EX_USAGE)
    if loaded.config.continue_on_read and loaded.config.threads == 1:
        problem = "continue_on_read needs threads, as the only one can't wait for a body that it has to receive"
        raise ConfigError(loaded.origins["continue_on_read"], "", problem, "set threads to 2 or more")


def _named_by_application(config: Config) -> str:
    """Return the name of the package or module that the application is from."""
    return service_name((config.app or "run").partition(":")[0].partition(".")[0])


def _parameters(server: Server) -> list[click.Parameter]:
    return [*map(flag, server.keys.values()), *_other_options()]


def _other_options() -> list[click.Parameter]:
    return [
        click.Option(["-c", "--config"], metavar="PATH", help="Read this TOML file; no other is ever read."),
        click.Option(["--check-config"], is_flag=True, help="Check the configuration, and exit."),
        click.Option(["--print-config"], is_flag=True, help="Print values and their origins, and exit."),
        version_option(),
    ]
