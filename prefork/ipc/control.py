"""What a command asks a running master, and what it gets for an answer: JSON, a line each, over a unix socket.

A connection carries one request and one answer, which comes when what was asked for is done or has failed. Fields that
the other side doesn't know are ignored, so that commands and services of different versions understand each other.
"""

from typing import Annotated, Final, TypeAlias, TypeVar

from msgspec import Meta, Struct, json

T = TypeVar("T")

LONGEST_REQUEST: Final = 4096  # bytes
FAILED: Final = 1  # exit status of what can't be done, for a reason that no os.EX_* names


class Command(Struct, frozen=True, tag_field="command", tag=str.lower):
    """A request; on the line, `command` says which."""


class Reload(Command, frozen=True):
    """Read the configuration again and replace the workers. Answered when the new ones serve, or can't."""


class Upgrade(Command, frozen=True):
    """Become the program that is installed now. Answered by that when its workers serve, or when it would not do."""


class Stop(Command, frozen=True):
    """End the service. Answered when no worker is left; the end of the connection is that of the master."""

    fast: bool = False


class Workers(Command, frozen=True):
    """Have `count` workers, or so many more or fewer. Answered when they are ready."""

    count: Annotated[int, Meta(ge=-(2**31), lt=2**31)]  # Python refuses to print some that are longer
    relative: bool = False


class Status(Command, frozen=True):
    """Tell how the service is."""


class Dump(Command, frozen=True):
    """Have the workers write the stacks of their threads into the log."""


class Health(Command, frozen=True):
    """Tell whether the service serves: exit status 0 or 1."""


Request: TypeAlias = Reload | Upgrade | Stop | Workers | Status | Dump | Health


class Worker(Struct, frozen=True):
    """One worker's place; `deadline` seconds from now its phase has lasted too long, or in BACKOFF the next is forked.

    `age` in seconds, `connections` and `requests` are those of its process, if there is one; those that are `opening`,
    by a TLS handshake or a PROXY header, are no connections yet. It has been `silent` for so many seconds, in which
    its loop didn't turn; then `request` is what it was given to serve last. Else it is what has kept a thread `busy`.
    """

    slot: int
    pid: int | None
    generation: int
    phase: str
    age: float | None
    connections: int
    requests: int
    failures: int
    deadline: float | None
    opening: int = 0
    silent: float = 0.0
    busy: float = 0.0
    request: str = ""


class Mold(Struct, frozen=True):
    """A process that workers of a generation are forked from: `state` is "loading" or "ready", `age` in seconds."""

    pid: int
    generation: int
    state: str
    age: float


class LastReload(Struct, frozen=True):
    """How the last reload went: `result` is "under way", "succeeded" or "failed", for this `reason`."""

    generation: int
    result: str
    reason: str = ""


class Refused(Struct, frozen=True):
    """How many requests were refused with this status for this `reason`; with 0, connections before a request."""

    status: int
    reason: str
    count: int


class Service(Struct, frozen=True):
    """How the service is: `state` is "starting", "serving", "reloading" or "stopping"; `wanted` counts workers.

    `uptime` is in seconds, and goes on over upgrades; so do the counts of what was `refused`, by reason. New values of
    the keys `at_restart` have been read, and don't hold yet. `failure` says which worker failed or hung last, when and
    why, until a reload succeeds.
    """

    name: str
    version: str
    pid: int
    uptime: float
    generation: int
    wanted: int
    state: str
    last_reload: LastReload | None
    listeners: tuple[str, ...]
    workers: tuple[Worker, ...]
    refused: tuple[Refused, ...] = ()
    molds: tuple[Mold, ...] = ()
    at_restart: tuple[str, ...] = ()
    failure: str = ""


class Answer(Struct, frozen=True):
    """What came of a request: `message` is a line for a person, `exit_status` an os.EX_* for a machine, 0 for done."""

    message: str
    exit_status: int = 0
    service: Service | None = None


_requests: Final[json.Decoder[Request]] = json.Decoder(Request)
_answers: Final[json.Decoder[Answer]] = json.Decoder(Answer)


def decode_request(line: bytes) -> Request:
    """Return what a line asks for; raises ValueError."""
    return _decoded(_requests, line)


def decode_answer(line: bytes) -> Answer:
    """Return what a line answers; raises ValueError."""
    return _decoded(_answers, line)


def _decoded(decoder: json.Decoder[T], line: bytes) -> T:
    try:
        return decoder.decode(line)
    except RecursionError as error:  # of msgspec, for what is nested too deeply
        raise ValueError(error) from None


def encode(message: Request | Answer) -> bytes:
    """Return a message as a line."""
    return json.encode(message) + b"\n"
