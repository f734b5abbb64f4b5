"""The command line: from flags to a configuration, from mistakes to one line and an exit status. Only this module prints.

The flags are the keys of the schema. click is done with before anything is served: it returns the next step, which runs
when its objects are gone.
"""

import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final, NoReturn

import click
from msgspec import json

from prefork import run
from prefork.config.describe import as_toml
from prefork.config.errors import USAGE, ConfigError
from prefork.config.keys import KEYS, Key
from prefork.config.literals import bare, literal
from prefork.config.load import load
from prefork.control import CommandError, ask
from prefork.ipc.control import Dump, Reload, Request, Status, Stop, Upgrade, Workers
from prefork.ipc.control_path import command_paths, service_name
from prefork.master.errors import StartError
from prefork.master.state import read_state
from prefork.overview import overview
from prefork.version import VERSION

Step = Callable[[], int]

_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
_KEYS_BY_PARAMETER: Final[Mapping[str, Key]] = {key.name.replace(".", "_"): key for key in KEYS.values()}
_COLUMN: Final = 26
_NOTES: Final = """\
Times are written as 30, 1.5s, 500ms, 2m or 1h, sizes as 4096, 8k or 16MiB.

Each option is also a key of the configuration file, keep_alive_timeout, and a variable, PREFORK_KEEP_ALIVE_TIMEOUT; those
of the hello are in its table [hello], and PREFORK_HELLO_BODY. A flag has precedence over a variable, that over the file,
that over the default. WEB_CONCURRENCY and PORT are honoured too. No file is read unless --config or PREFORK_CONFIG names it.
"""


def prefork_hello() -> NoReturn:
    """Run the command `prefork-hello`."""
    sys.exit(_main("prefork-hello", _hello_command))


def prefork() -> NoReturn:
    """Run the command `prefork`."""
    sys.exit(_main("prefork", _prefork_command))


def _main(program: str, make_command: Callable[[], click.Command]) -> int:
    try:
        return _parse(program, make_command())()
    except (ConfigError, StartError, CommandError) as error:
        click.echo(f"{program}: error: {error}", err=True)
        return error.status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parse(program: str, command: click.Command) -> Step:
    try:
        step = command.main(prog_name=program, standalone_mode=False)
    except click.ClickException as error:
        raise ConfigError("", "", _problem(error), status=USAGE) from None
    except OSError as error:
        raise StartError(1, f"standard output: {error.strerror}") from None
    return step if callable(step) else lambda: 0


def _problem(error: click.ClickException) -> str:
    """Return click's complaint in our words, a line without its capital and full stop."""
    if isinstance(error, click.NoSuchOption):
        meant = f", did you mean {error.possibilities[0]}?" if error.possibilities else ""
        return f"{bare(error.option_name)}: unknown option{meant}"
    message = error.format_message().replace(". Did", ", did").rstrip(".")
    if isinstance(error, click.BadOptionUsage):
        _, _, what = message.partition("' ")
        return f"{error.option_name}: {what}"
    return bare(message[:1].lower() + message[1:])


def _prefork_command() -> click.Command:
    return click.Group(
        "prefork",
        commands=[_hello_command(), *_control_commands()],
        params=[_version_option()],
        context_settings=_CONTEXT,
        no_args_is_help=False,
        help="A multi-process HTTP server for Linux.",
    )


def _hello_command() -> click.Command:
    return _Command(
        "hello",
        params=[*map(_flag, KEYS.values()), *_other_options()],
        callback=_hello,
        context_settings=_CONTEXT,
        help='Serve "Hello, world!" over HTTP, with a master and its workers. Defaults are in brackets.',
        epilog=_NOTES,
    )


def _hello(config: str | None, *, check_config: bool, print_config: bool, **given: object) -> Step | None:
    flags = {_KEYS_BY_PARAMETER[name].name: value for name, value in given.items() if value not in (None, ())}
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


def _control_commands() -> list[click.Command]:
    fast = click.Option(["--fast"], is_flag=True, help="Cut connections instead of finishing what has begun.")
    count = click.Argument(["count"], metavar="+N|-N|N")
    return [
        _control_command("reload", Reload, "Replace the workers by some of the present configuration."),
        _control_command("upgrade", Upgrade, "Become the program that is installed now, without a pause."),
        _control_command("stop", Stop, "End the service, and wait until it has ended.", fast),
        _control_command("status", Status, "Show the service and its workers."),
        _control_command("workers", _workers, "Have so many workers, or so many more or fewer.", count),
        _control_command("dump", Dump, "Have the workers write the stacks of their threads into the log."),
    ]


def _control_command(
    name: str, request: Callable[..., Request], doc: str, *parameters: click.Parameter
) -> click.Command:
    """Return a command that has a running service do something. `request` makes what is asked of the parameters."""

    def callback(name: str, control: str, *, as_json: bool, **given: object) -> Step:
        return partial(_ask, request(**given), _paths(name, control), as_json=as_json)

    return click.Command(
        name,
        params=[
            *parameters,
            _from_environment("name", "hello", "What the service is called."),
            _from_environment("control", "auto", "The path of its control socket."),
            click.Option(["--json", "as_json"], is_flag=True, help="Print the answer as JSON."),
        ],
        callback=callback,
        # -1 is a number of workers
        context_settings={**_CONTEXT, "ignore_unknown_options": name == "workers"},
        help=doc,
    )


def _from_environment(name: str, default: str, doc: str) -> click.Option:
    """Return the option by which a command finds a service, spelled as the key of the configuration that says it."""
    key = KEYS[name]
    placeholder = key.option.kind.placeholder
    return click.Option(
        [key.flag], metavar=placeholder, envvar=key.variable, default=default, help=f"{doc} [{default}]"
    )


def _paths(name: str, control: str) -> Sequence[str]:
    return command_paths(service_name(name), os.environ, os.geteuid()) if control == "auto" else (control,)


def _workers(count: str) -> Workers:
    """Return what `4`, `+1` or `-1` asks for."""
    if not re.fullmatch(r"[+-]?[0-9]{1,4}", count):
        raise ConfigError(
            "", "", f"expected a number of workers such as 4, +1 or -1, got {literal(count)}", status=USAGE
        )
    return Workers(int(count), relative=count[0] in "+-")


def _ask(request: Request, paths: Sequence[str], *, as_json: bool) -> int:
    answer = ask(request, paths)
    if as_json:
        click.echo(json.encode(answer.service or answer))
    elif answer.exit_status:
        raise CommandError(answer.exit_status, answer.message)
    else:
        click.echo(overview(answer.service) if answer.service else answer.message)
    return answer.exit_status


class _Command(click.Command):
    """A command whose help has a section for each group of the schema."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write all options, in columns that are alike in every section."""
        for title, parameters in groupby(self.get_params(ctx), _title):
            records = filter(None, (parameter.get_help_record(ctx) for parameter in parameters))
            with formatter.section(title):
                formatter.write_dl([(f"{spelling:{_COLUMN}}", doc) for spelling, doc in records], col_max=_COLUMN)


def _title(parameter: click.Parameter) -> str:
    key = _KEYS_BY_PARAMETER.get(parameter.name or "")
    return key.option.group.value if key else "Other"


def _flag(key: Key) -> click.Option:
    short = [key.option.short] if key.option.short else []
    switch = isinstance(key.default, bool)
    return click.Option(
        [*short, f"{key.flag}/--no-{key.flag[2:]}" if switch else key.flag, key.name.replace(".", "_")],
        default=None,
        metavar=key.option.kind.placeholder,
        multiple=isinstance(key.default, tuple),
        type=bool if switch else str,
        help=key.option.doc + _default(key),
    )


def _default(key: Key) -> str:
    if key.default is None:
        return ""
    raw = key.option.kind.spell(key.default)
    return f" [{', '.join(raw) if isinstance(raw, list) else raw if isinstance(raw, str) else literal(raw)}]"


def _other_options() -> list[click.Parameter]:
    return [
        click.Option(["-c", "--config"], metavar="PATH", help="Read this TOML file; no other is ever read."),
        click.Option(["--check-config"], is_flag=True, help="Check the configuration, and exit."),
        click.Option(["--print-config"], is_flag=True, help="Print values and their origins, and exit."),
        _version_option(),
    ]


def _version_option() -> click.Option:
    return click.Option(
        ["-V", "--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version, and exit.",
    )


def _print_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    if asked and not ctx.resilient_parsing:
        system = os.uname()
        python = ".".join(map(str, sys.version_info[:3]))
        click.echo(f"prefork {VERSION} (Python {python}, {system.sysname} {system.release})")
        ctx.exit()
