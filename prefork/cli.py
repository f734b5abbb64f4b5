"""The command line: from arguments to what is to be done, from mistakes to one line and an exit status.

click is done with before anything is served: it returns the next step, which runs when its objects are gone.
"""

import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn

import click

from prefork.commands.controlling import control_commands
from prefork.commands.foreign import meant_option
from prefork.commands.installing import service_command
from prefork.commands.options import CONTEXT, version_option
from prefork.commands.serving import hello_command, run_command
from prefork.commands.step import Step
from prefork.config.errors import ConfigError
from prefork.config.keys import KEYS
from prefork.config.literals import bare
from prefork.ipc.client import INTERRUPTED, CommandError
from prefork.master.errors import StartError
from prefork.systemd import Notifier

COMMANDS: Final = {"start": "run", "serve": "run", "restart": "reload"}  # by other names, which resemble the wrong ones


def prefork_hello() -> NoReturn:
    """Run the command `prefork-hello`."""
    sys.exit(_main("prefork-hello", hello_command))


def prefork() -> NoReturn:
    """Run the command `prefork`."""
    sys.exit(_main("prefork", _prefork_command))


def _main(program: str, make_command: Callable[[], click.Command]) -> int:
    try:
        return _parse(program, make_command())()
    except (ConfigError, StartError, CommandError) as error:
        click.echo(f"{program}: error: {error}", err=True)
        if not isinstance(error, CommandError):
            Notifier(os.environ).status(f"error: {error}")
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED


def _parse(program: str, command: click.Command) -> Step:
    try:
        step = command.main(prog_name=program, standalone_mode=False)
    except click.ClickException as error:
        raise ConfigError("", "", _problem(error), status=os.EX_USAGE) from None
    except OSError as error:
        raise StartError(1, f"standard output: {error.strerror}") from None
    return step if callable(step) else lambda: 0


def _problem(error: click.ClickException) -> str:
    """Return click's complaint in our words, a line without its capital and full stop."""
    if isinstance(error, click.NoSuchOption):
        return f"{bare(error.option_name)}: unknown option{meant_option(error)}"
    message = error.format_message().replace(". Did", ", did").rstrip(".")
    if isinstance(error, click.BadOptionUsage):
        _, _, what = message.partition("' ")
        return f"{error.option_name}: {what}{_expected(error.option_name)}"
    if ":" in message and message.startswith("No such command"):
        return f"{bare(message[:1].lower() + message[1:])}; an application is served by `prefork run`"
    name, _, _ = message.removeprefix("No such command '").partition("'")
    if name in COMMANDS:
        return f"no such command '{name}', did you mean '{COMMANDS[name]}'?"
    return bare(message[:1].lower() + message[1:])


def _expected(flag: str) -> str:
    """Return what the argument of a flag is to be, where it is one of the configuration's."""
    found = (key for key in KEYS.values() if flag in (key.flag, key.option.short) and not isinstance(key.default, bool))
    return "".join(f", {key.option.kind.expected}" for key in found)


def _prefork_command() -> click.Command:
    return click.Group(
        "prefork",
        commands=[run_command(), hello_command(), *control_commands(), service_command()],
        params=[version_option()],
        context_settings=CONTEXT,
        no_args_is_help=False,
        help="A multi-process HTTP server for Linux.",
    )
