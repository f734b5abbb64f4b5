"""The generations that workers are forked from: the present one, and during a reload the next one beside it.

A generation is what a reload makes anew. The composition root makes it, and does what else the master can't know of.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from prefork.config.schema import Config
from prefork.ipc.seat import Seat
from prefork.logs.files import LogFiles
from prefork.master.control import HeldControl
from prefork.master.errors import refusals
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


class Root(Protocol):
    """What the composition root does for the master."""

    def renew(self, previous: Generation, number: int) -> Generation:
        """Make the generation of this number from the present configuration; raises ConfigError or StartError."""

    def grow(self, generation: Generation, workers: int) -> Listeners:
        """Return the listeners that so many workers need; raises StartError."""

    def merge(self, kept: Generation, given_up: Generation) -> Generation:
        """Return the first with what it needs of the other, and give the rest of that back."""

    def on_ready(self) -> None:
        """Know that the service is ready; called once."""

    def kept(self) -> Kept:
        """Return what an upgrade is to pass on."""


class Generations:
    """Those that have workers which stay, by their numbers; `newest` is the highest number that any had."""

    def __init__(self, first: Generation, newest: int, root: Root) -> None:
        self.newest = newest
        self._members = {first.number: first}
        self._root = root

    def __getitem__(self, number: int) -> Generation:
        return self._members[number]

    def renew(self, previous: Generation) -> Generation:
        """Make one of the newest number from the present configuration.

        Raises:
            ConfigError, StartError: there is none; everything is as before.
        """
        with refusals():
            generation = self._root.renew(previous, self.newest)
        self._members[generation.number] = generation
        return generation

    def grow(self, number: int, workers: int) -> None:
        """Open the listeners that so many workers need; raises StartError."""
        generation = self._members[number]
        with refusals():
            self._members[number] = replace(generation, listeners=self._root.grow(generation, workers))

    def keep_only(self, number: int) -> None:
        """Give all others up; what the one of this number needs of theirs becomes its own."""
        kept = self._members.pop(number)
        for each in self._members.values():
            kept = self._root.merge(kept, each)
        self._members = {number: kept}

    def close_listeners(self) -> None:
        """Close all that is listened on, at the end."""
        for generation in self._members.values():
            generation.listeners.close()
