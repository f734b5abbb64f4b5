"""The commands that install a service, and remove it."""

import os
from collections.abc import Callable, Iterator
from functools import partial

import click

from prefork.commands.options import CONTEXT, Step
from prefork.config.errors import ConfigError
from prefork.config.keys import KEYS


def service_command() -> click.Command:
    """Return the command with them both."""
    return click.Group(
        "service",
        commands=[_install_command(), _remove_command()],
        context_settings=CONTEXT,
        no_args_is_help=False,
        help="Make it a service of systemd, or undo that.",
    )


def _install_command() -> click.Command:
    return click.Command(
        "install",
        params=[
            _name(),
            click.Option(
                ["-c", "--config"],
                metavar="PATH",
                help="Copy this configuration to /etc/prefork/NAME.toml if there is none. [a sample for the hello]",
            ),
            click.Option(["--socket"], is_flag=True, help="Let systemd bind the sockets, and take the network away."),
            _dry_run(),
        ],
        callback=_install,
        context_settings=CONTEXT,
        short_help="Have it started, now and at each boot.",
        help="Install the service prefork-NAME, which serves what /etc/prefork/NAME.toml says, and start it.",
    )


def _remove_command() -> click.Command:
    return click.Command(
        "remove",
        params=[_name(), _dry_run()],
        callback=_remove,
        context_settings=CONTEXT,
        short_help="Undo that.",
        help="Stop the service prefork-NAME and remove it, but its configuration.",
    )


def _name() -> click.Argument:
    return click.Argument(["name"], metavar="[NAME]", required=False, default="hello")


def _dry_run() -> click.Option:
    return click.Option(["--dry-run"], is_flag=True, help="Print what would be done, and do nothing.")


def _install(name: str, config: str | None, *, socket: bool, dry_run: bool) -> Step:
    from prefork.service import command  # noqa: PLC0415 - subprocess and hashlib take 10 ms of the start of a service

    return _telling(partial(command.install, _checked(name), config, socket=socket, dry_run=dry_run))


def _remove(name: str, *, dry_run: bool) -> Step:
    from prefork.service import command  # noqa: PLC0415

    return _telling(partial(command.remove, _checked(name), dry_run=dry_run))


def _checked(name: str) -> str:
    try:
        KEYS["name"].option.kind.parse(name)
    except ValueError as error:
        raise ConfigError("", "NAME", str(error), status=os.EX_USAGE) from None
    return name


def _telling(steps: Callable[[], Iterator[str]]) -> Step:
    def tell() -> int:
        for line in steps():
            click.echo(line)
        return 0

    return tell
