"""Flags and help as they follow from the schema, and what all commands have in common."""

import os
import sys
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Final, TypeAlias

import click

from prefork.config.keys import KEYS, Key
from prefork.config.literals import literal
from prefork.version import VERSION

Step: TypeAlias = Callable[[], int]  # what a command does once its arguments are understood

CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
KEYS_BY_PARAMETER: Final[Mapping[str, Key]] = {key.name.replace(".", "_"): key for key in KEYS.values()}
_COLUMN: Final = 26


class KeyedCommand(click.Command):
    """A command whose help has a section for each group of the schema."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write all options, in columns that are alike in every section."""
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        for title, parameters in groupby(options, _title):
            records = filter(None, (parameter.get_help_record(ctx) for parameter in parameters))
            with formatter.section(title):
                formatter.write_dl([(f"{spelling:{_COLUMN}}", doc) for spelling, doc in records], col_max=_COLUMN)


def _title(parameter: click.Parameter) -> str:
    key = KEYS_BY_PARAMETER.get(parameter.name or "")
    return key.option.group.value if key else "Other"


def flag(key: Key) -> click.Option:
    """Return the flag of a key."""
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


def version_option() -> click.Option:
    """Return the flag that prints the version."""
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
