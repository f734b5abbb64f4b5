"""The values that the supervisor decides about: what is wanted, what there is, what happens, what is to be done.

A slot is a number below the wanted count of workers. A place is one worker's row in it: usually a slot has one, while
a worker is replaced it has two, the successor STARTING beside the predecessor READY, and besides those that are
RETIRING. Times are seconds of CLOCK_MONOTONIC.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeAlias

from msgspec import Struct


class Phase(Enum):
    """Where a place is in its life."""

    EMPTY = "empty"  # its process is about to be forked
    STARTING = "starting"
    LATE = "late"  # it was not ready in time, and has been killed
    READY = "ready"
    HUNG = "hung"  # its stacks are being written; it is killed at the deadline
    RETIRING = "retiring"
    BACKOFF = "backoff"  # no process; one is forked at the deadline
    GONE = "gone"  # dropped from the fleet


class Place(Struct, frozen=True):
    """One worker's place.

    `failures` in a row decide how long the next fork is put off. One that is `worn` is to be replaced by its like. One
    that is RETIRING has been told to hand its connections over to its `heirs`, by their keys; until it has said that it
    has, or the moment `leaves_by`, it may answer as of old. `outlived` cut its time short.
    """

    key: int
    slot: int
    generation: int
    phase: Phase = Phase.EMPTY
    failures: int = 0
    deadline: float | None = None
    worn: bool = False
    heirs: tuple[int, ...] = ()
    leaves_by: float | None = None
    outlived: bool = False


class Wanted(Struct, frozen=True):
    """What the configuration asks for; timeouts in seconds. What the keys `at_restart` ask for takes a restart."""

    workers: int
    generation: int = 1
    surge: int = 1
    boot_timeout: float = 60.0
    graceful_timeout: float = 30.0
    shutdown_delay: float = 0.0
    max_old_generations: int = 2
    max_spawn_failures: int = 3
    at_restart: tuple[str, ...] = ()


class Ending(Enum):
    """How the service comes to its end."""

    GRACEFUL = "graceful"
    FAST = "fast"
    CRASH_LOOP = "crash loop"
    UNLOADABLE = "can't be loaded"


GIVEN_UP: Final = (Ending.CRASH_LOOP, Ending.UNLOADABLE)


class Fleet(Struct, frozen=True):
    """All places by their keys. `fallback` is what was wanted before a reload that is still under way.

    `failures` counts the workers that failed before any was ever ready; `proven` tells that one has been. When it is
    given up, `reason` says why, and `status` is the exit status of what can't be loaded. `ends_at` is when it begins to
    end, after a shutdown_delay.
    """

    wanted: Wanted
    places: Mapping[int, Place] = {}
    next_key: int = 0
    fallback: Wanted | None = None
    proven: bool = False
    failures: int = 0
    announced: bool = False
    ending: Ending | None = None
    ends_at: float | None = None
    reason: str = ""
    status: int = 0

    @property
    def stopping(self) -> bool:
        """Whether it ends, if only after a shutdown_delay."""
        return self.ending is not None or self.ends_at is not None


class Spawned(Struct, frozen=True):
    """The process asked for is there, or will be, or its end will be told."""

    key: int


class WorkerReady(Struct, frozen=True):
    """The worker serves."""

    key: int


class WorkerExited(Struct, frozen=True):
    """The worker is dead and reaped, or could not be forked; `reason` says how it died, or why.

    A `status` other than 0 tells that it is no use to try again before something was changed; it is for a start that
    fails.
    """

    key: int
    reason: str
    status: int = 0


class DeadlinePassed(Struct, frozen=True):
    """The present phase has lasted until its deadline, or a worker that leaves until the moment `leaves_by`."""

    key: int


class HeartbeatStale(Struct, frozen=True):
    """The worker's loop has not turned for hang_timeout, though it was not stopped."""

    key: int


class RecycleAsked(Struct, frozen=True):
    """The worker has served for long enough, or grown too large."""

    key: int


class WorkerLeft(Struct, frozen=True):
    """The worker, which was told to leave, accepts no more, and has no connection that could be another's."""

    key: int


class RetireAsked(Struct, frozen=True):
    """The fleet no longer wants this place."""

    key: int


class ReloadAsked(Struct, frozen=True):
    """A new configuration is valid and its listeners are open; its generation is higher than any before."""

    wanted: Wanted


class ResizeAsked(Struct, frozen=True):
    """So many workers are wanted from now on."""

    workers: int


class StopAsked(Struct, frozen=True):
    """The service is to end; gracefully it does so after shutdown_delay, or when it is asked again."""

    ending: Ending


class DelayPassed(Struct, frozen=True):
    """The shutdown_delay is over."""


PlaceEvent: TypeAlias = (
    Spawned | WorkerReady | WorkerExited | DeadlinePassed | HeartbeatStale | RecycleAsked | RetireAsked | WorkerLeft
)
FleetEvent: TypeAlias = ReloadAsked | ResizeAsked | StopAsked | DelayPassed
Event: TypeAlias = PlaceEvent | FleetEvent


class Spawn(Struct, frozen=True):
    """Fork a worker for this place; answer with Spawned or WorkerExited before any other event."""

    key: int
    slot: int
    generation: int


class Retire(Struct, frozen=True):
    """Tell the worker to leave and to hand its connections over to those in `heirs`.

    `for_good` when nobody comes after it, so that it closes its idle connections at once.
    """

    key: int
    heirs: tuple[int, ...]
    for_good: bool


class Kill(Struct, frozen=True):
    """End the worker at once."""

    key: int
    reason: str


class DumpStacks(Struct, frozen=True):
    """Have the worker write the stacks of its threads into the log, though it hangs."""

    key: int


class TakeOver(Struct, frozen=True):
    """Give the worker the sockets of this slot, its own or another's, as far as it doesn't serve them yet."""

    key: int
    slot: int


class Respawn(Struct, frozen=True):
    """Report that a worker ended unasked and when it is replaced, in seconds from now."""

    slot: int
    reason: str
    delay: float


class ServiceReady(Struct, frozen=True):
    """Report that all wanted workers are ready for the first time."""


class Reloaded(Struct, frozen=True):
    """Report that every worker is of this generation, and none of another answers any more, unless it is stuck."""

    generation: int


class ReloadFailed(Struct, frozen=True):
    """Report that the fleet goes back to generation `kept`, since `generation` can't get ready."""

    generation: int
    kept: int
    reason: str


class Finish(Struct, frozen=True):
    """No worker is left: end the program."""

    ending: Ending
    reason: str


Action: TypeAlias = (
    Spawn | Retire | Kill | DumpStacks | TakeOver | Respawn | ServiceReady | Reloaded | ReloadFailed | Finish
)

HEALTHY_AFTER: Final = 10.0  # seconds READY after which earlier failures are forgiven
SHORTEST_BACKOFF: Final = 0.1  # seconds
LONGEST_BACKOFF: Final = 30.0  # seconds
LONGEST_ABSENCE: Final = 1.0  # seconds, of one that had been ready: what ends it may be a request that comes again
DUMP_TIME: Final = 1.0  # seconds that a hung worker has for its stacks
LEAVING_TIME: Final = 5.0  # seconds that a reload waits for an old worker to stop answering: its loop may be busy
KILL_MARGIN: Final = 2.0  # seconds beyond graceful_timeout, at which a worker ends by itself
