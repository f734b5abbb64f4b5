"""What an entry of the schema says about its key, besides its name, type and default. Pure."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec import Struct

from prefork.config.kinds import Kind


class Group(Enum):
    """Where a key stands in the help, in this order."""

    APPLICATION = "Application"
    DEVELOPMENT = "Development"
    LISTENING = "Listening"
    PROCESSES = "Processes"
    LIFECYCLE = "Lifecycle"
    LIMITS = "HTTP limits"
    LOGGING = "Logging"
    HELLO = "Hello"


HELLO: Final = "prefork-hello"
RUN: Final = "prefork run"
# The command that alone has the keys of a group; all others are for both.
OWNERS: Final[Mapping[Group, str]] = {Group.APPLICATION: RUN, Group.DEVELOPMENT: RUN, Group.HELLO: HELLO}


class Option(Struct, frozen=True):
    """`doc` is the key's line in the help, `short` its one-letter flag; a value that is changed holds at a reload, or
    only `at_restart`.
    """

    group: Group
    kind: Kind
    doc: str
    short: str | None = None
    at_restart: bool = False
