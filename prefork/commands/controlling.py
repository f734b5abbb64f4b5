"""The commands that have a running service do something, by its control socket."""

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import click
from msgspec import json

from prefork.commands.options import CONTEXT, Step
from prefork.commands.overview import overview
from prefork.config.errors import ConfigError
from prefork.config.keys import KEYS
from prefork.config.literals import literal
from prefork.ipc.client import CommandError, ask, the_only_path
from prefork.ipc.control import FAILED, Answer, Dump, Health, Reload, Request, Status, Stop, Upgrade, Workers
from prefork.ipc.control_path import command_paths, service_name

# Seconds within which a service that is well has answered; what else is asked for takes as long as it takes.
PATIENCE: Final[dict[type[Request], float]] = {Health: 2.0, Status: 5.0, Dump: 5.0}


def control_commands() -> list[click.Command]:
    """Return them all."""
    fast = click.Option(["--fast"], is_flag=True, help="Cut connections instead of finishing what has begun.")
    count = click.Argument(["count"], metavar="+N|-N|N")
    return [
        _control_command(
            "reload", Reload, "Read the configuration again and replace the workers, without losing a request."
        ),
        _control_command("upgrade", Upgrade, "Become the version that is installed now, without losing a request."),
        _control_command("stop", Stop, "End the service, and wait until it has ended.", fast),
        _control_command("status", Status, "Show the service and its workers."),
        _control_command("workers", _workers, "Have so many workers, or so many more or fewer.", count),
        _control_command("health", Health, "Tell whether the service serves: exit status 0, else 1 with the reason."),
        _control_command("dump", Dump, "Have the workers write the stacks of their threads into the log."),
    ]


def _control_command(
    name: str, request: Callable[..., Request], doc: str, *parameters: click.Parameter
) -> click.Command:
    """Return a command that has a running service do something. `request` makes what is asked of the parameters."""

    def callback(name: str | None, control: str, *, as_json: bool, **given: object) -> Step:
        return partial(_ask, request(**given), name, control, as_json=as_json)

    return click.Command(
        name,
        params=[
            *parameters,
            _from_environment("name", None, "What the service is called, by default the only one that runs."),
            _from_environment("control", "auto", "The path of its control socket. [auto]"),
            click.Option(["--json", "as_json"], is_flag=True, help="Print the answer as JSON."),
        ],
        callback=callback,
        # -1 is a number of workers
        context_settings={**CONTEXT, "ignore_unknown_options": name == "workers"},
        help=doc,
    )


def _from_environment(name: str, default: str | None, doc: str) -> click.Option:
    """Return the option by which a command finds a service, spelled as the key of the configuration that says it."""
    key = KEYS[name]
    placeholder = key.option.kind.placeholder
    return click.Option([key.flag], metavar=placeholder, envvar=key.variable, default=default, help=doc)


def _paths(name: str | None, control: str) -> Sequence[str]:
    if control == "off":
        raise CommandError(os.EX_UNAVAILABLE, "control is off: a service with that obeys no commands; give --control")
    if control != "auto":
        return (control,)
    if name is None:
        return (the_only_path(os.environ, os.geteuid()),)
    return command_paths(service_name(name), os.environ, os.geteuid())


def _workers(count: str) -> Workers:
    """Return what `4`, `+1` or `-1` asks for."""
    if not re.fullmatch(r"[+-]?[0-9]{1,4}", count):
        raise ConfigError(
            "", "", f"expected a number of workers such as 4, +1 or -1, got {literal(count)}", status=os.EX_USAGE
        )
    return Workers(int(count), relative=count[0] in "+-")


def _ask(request: Request, name: str | None, control: str, *, as_json: bool) -> int:
    patience = PATIENCE.get(type(request))
    answer = _health(name, control) if isinstance(request, Health) else ask(request, _paths(name, control), patience)
    if as_json:
        click.echo(json.encode(answer.service or answer))
    elif answer.exit_status:
        raise CommandError(answer.exit_status, answer.message)
    else:
        click.echo(overview(answer.service) if answer.service else answer.message)
    return answer.exit_status


def _health(name: str | None, control: str) -> Answer:
    """Ask how the service is: what keeps it from saying so is an answer too, since HEALTHCHECK knows only 0 and 1."""
    try:
        return ask(Health(), _paths(name, control), PATIENCE[Health])
    except CommandError as error:
        return Answer(str(error), FAILED)
