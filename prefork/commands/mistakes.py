"""Says in our words what is wrong with a command line, and what was meant: by a typo, or as another server has it."""

import difflib
from collections.abc import Sequence
from typing import Final

import click

from prefork.config.foreign import LEAVE_OUT, NEEDLESS, NONE, OURS
from prefork.config.keys import KEYS
from prefork.config.literals import bare

COMMANDS: Final = {"start": "run", "serve": "run", "restart": "reload"}  # by other names, which resemble the wrong ones


def problem_of(error: click.ClickException) -> str:
    """Return click's complaint in our words, a line without its capital and full stop."""
    if isinstance(error, click.NoSuchOption):
        return f"{bare(error.option_name)}: unknown option{meant_option(error)}"
    message = error.format_message().replace(". Did", ", did").rstrip(".")
    if isinstance(error, click.BadOptionUsage):
        _, _, what = message.partition("' ")
        return f"{error.option_name}: {what}{_expected(error.option_name)}"
    if ":" in message and message.startswith("No such command"):
        return f"{bare(message[:1].lower() + message[1:])}; an application is served by `prefork run`"
    if isinstance(error, click.UsageError) and message.startswith("Missing command"):
        return f"missing command; see `{error.ctx.command_path if error.ctx else 'prefork'} --help`"
    name, _, _ = message.removeprefix("No such command '").partition("'")
    if name in COMMANDS:
        return f"no such command '{name}', did you mean '{COMMANDS[name]}'?"
    return bare(message[:1].lower() + message[1:])


def _expected(flag: str) -> str:
    """Return what the argument of a flag is to be, where it is one of the configuration's."""
    found = (key for key in KEYS.values() if flag in (key.flag, key.option.short) and not isinstance(key.default, bool))
    return "".join(f", {key.option.kind.expected}" for key in found)


def meant_option(error: click.NoSuchOption) -> str:
    """Return a hint at the option of this command that was meant, as far as that can be guessed."""
    if error.option_name in NEEDLESS:
        return f"; {LEAVE_OUT}"
    ours = OURS.get(error.option_name, "")
    params = error.ctx.command.params if error.ctx else ()
    option = next((each for each in params if ours in each.opts), None)
    if option is not None:
        return f", did you mean {' '.join(filter(None, (ours, option.metavar)))}?"
    near = "" if error.option_name in NONE else _closest(error.option_name, error.possibilities or ())
    return f", did you mean {near}?" if near else ""


def _closest(name: str, options: Sequence[str]) -> str:
    """Return the one that resembles it, or nothing: click compares the dashes too, by which short names are alike."""
    bare = {each.lstrip("-"): each for each in options}
    return next((bare[each] for each in difflib.get_close_matches(name.lstrip("-"), bare, n=1)), "")
