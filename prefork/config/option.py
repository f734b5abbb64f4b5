"""What an entry of the schema says about its key, besides its name, type and default. Pure."""

from enum import Enum

from msgspec import Struct

from prefork.config.kinds import Kind


class Group(Enum):
    """Where a key stands in the help, in this order."""

    LISTENING = "Listening"
    PROCESSES = "Processes"
    LIFECYCLE = "Lifecycle"
    LIMITS = "HTTP limits"
    LOGGING = "Logging"
    HELLO = "Hello"


class Reload(Enum):
    """What it takes for a changed value to hold."""

    LIVE = "SIGHUP, at once"
    WORKERS = "SIGHUP, with new workers"
    RESTART = "a restart"


class Option(Struct, frozen=True):
    """`doc` is the key's line in the help, `short` its one-letter flag."""

    group: Group
    reload: Reload
    kind: Kind
    doc: str
    short: str | None = None
