"""The generations that workers are forked from: the present one, and during a reload the next one beside it."""

import socket
from collections.abc import Collection

from msgspec.structs import replace

from prefork.master.generation import Generation, Hooks


class Generations:
    """Those that have workers which stay, by their numbers; `newest` is the highest number that any had."""

    def __init__(self, first: Generation, newest: int, hooks: Hooks) -> None:
        self.newest = newest
        self._members = {first.number: first}
        self._hooks = hooks

    def __getitem__(self, number: int) -> Generation:
        return self._members[number]

    def renew(self, previous: Generation) -> Generation:
        """Make one of the newest number from the present configuration.

        Raises:
            ConfigError, StartError: there is none; everything is as before.
        """
        generation = self._hooks.renew(previous, self.newest)
        self._members[generation.number] = generation
        return generation

    def grow(self, number: int, workers: int) -> None:
        """Open the listeners that so many workers need; raises StartError."""
        generation = self._members[number]
        self._members[number] = replace(generation, listeners=self._hooks.grow(generation, workers))

    def keep_only(self, number: int) -> None:
        """Give all others up; what the one of this number needs of theirs becomes its own."""
        kept = self._members.pop(number)
        for each in self._members.values():
            kept = self._hooks.merge(kept, each)
        self._members = {number: kept}

    def leave_behind(self, kept: Collection[socket.socket]) -> None:
        """In a forked worker: close the listeners that are not its own, else an address that is dropped stays open."""
        for generation in self._members.values():
            for each in generation.listeners.sockets:
                if each not in kept:
                    each.close()

    def close_listeners(self) -> None:
        """Close all that is listened on, at the end."""
        for generation in self._members.values():
            generation.listeners.close()
