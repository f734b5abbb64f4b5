"""The command line: from arguments to what is to be done, from mistakes to one line and an exit status.

click is done with before anything is served: it returns the next step, which runs when its objects are gone.
"""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

import click

from prefork.commands.controlling import control_commands
from prefork.commands.installing import service_command
from prefork.commands.mistakes import problem_of
from prefork.commands.options import CONTEXT, Step, version_option
from prefork.commands.serving import hello_command, run_command
from prefork.config.errors import ConfigError
from prefork.descriptors import leave
from prefork.ipc.client import INTERRUPTED, CommandError
from prefork.master.errors import StartError
from prefork.systemd import Notifier


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
        raise ConfigError("", "", problem_of(error), status=os.EX_USAGE) from None
    except OSError as error:
        leave([sys.stdout.fileno()])  # Python writes what is left as it ends
        raise StartError(1, f"standard output: {error.strerror}") from None
    return step if callable(step) else lambda: 0


def _prefork_command() -> click.Command:
    return click.Group(
        "prefork",
        commands=[run_command(), hello_command(), *control_commands(), service_command()],
        params=[version_option()],
        context_settings=CONTEXT,
        no_args_is_help=False,
        help="A multi-process HTTP server for Linux.",
    )
