"""What a reload makes anew, and what the composition root does about it for the master."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from prefork.config.schema import Config
from prefork.ipc.seat import Seat
from prefork.logs import LogFiles
from prefork.master.control import HeldControl
from prefork.master.fleet import Wanted
from prefork.master.identity import Identity
from prefork.master.listeners import Listeners


class Generation(Struct, frozen=True):
    """What the workers of one generation have in common; `work` is what a forked worker does.

    With `mold`, which is what a forked mold does, they are forked from that one instead. `config` is what holds, of
    which the keys `at_restart` have been given other values that don't yet.
    """

    number: int
    config: Config
    workers: int
    listeners: Listeners
    files: LogFiles
    work: Callable[[Seat], None]
    mold: Callable[[Seat], None] | None = None
    at_restart: tuple[str, ...] = ()

    def wanted(self) -> Wanted:
        """Return what the supervisor has to know of it."""
        return Wanted(
            workers=self.workers,
            generation=self.number,
            surge=self.config.surge,
            shutdown_delay=self.config.shutdown_delay,
            max_old_generations=self.config.max_old_generations,
            boot_timeout=self.config.boot_timeout,
            graceful_timeout=self.config.graceful_timeout,
            max_spawn_failures=self.config.max_spawn_failures,
            at_restart=self.at_restart,
        )


class Kept(Struct, frozen=True):
    """What the composition root keeps from the start of the service to its end.

    `path` is the configuration file, `variables` are those that systemd set. `descriptors` are passed on by their
    names, and those of the `control` socket. The service `started` at a moment of CLOCK_MONOTONIC.
    """

    path: str | None = None
    identity: Identity | None = None
    pid_file: str | None = None
    variables: Mapping[str, str] = {}
    descriptors: Mapping[str, int] = {}
    control: HeldControl | None = None
    started: float = 0.0


class Hooks(Struct, frozen=True):
    """What the master has done for it.

    `renew` makes the generation of this number, after the given one, from the present configuration; it raises
    ConfigError or StartError. `grow` returns the listeners that so many workers need; it raises StartError. `merge`
    takes over from the second generation, which is given up, what the first needs of it, and gives the rest back.
    `on_ready` is called once. `in_child` closes in a forked worker what is the master's. `kept` tells what an upgrade
    is to pass on.
    """

    renew: Callable[[Generation, int], Generation]
    grow: Callable[[Generation, int], Listeners]
    merge: Callable[[Generation, Generation], Generation]
    on_ready: Callable[[], None]
    in_child: Callable[[], None]
    kept: Callable[[], Kept]
