"""Answers an option that there is not with the one that was meant: by a typo, or of another server."""

import difflib
from collections.abc import Sequence

import click

from prefork.config.foreign import LEAVE_OUT, NEEDLESS, NONE, OURS


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
