"""Has the workers forked: at once, or by the mold of their generation. Decides nothing."""

import errno
import os
import socket
from collections.abc import Callable, Collection
from contextlib import suppress

from prefork.ipc.channel import Channel
from prefork.logs.log import Log
from prefork.master.crew import Crew
from prefork.master.fleet import Event, Fleet, Spawn, Spawned, TakeOver, WorkerExited
from prefork.master.generation import Generation, Generations
from prefork.master.molds import Molds
from prefork.master.processes import strangers


class Forking:
    """The molds, and the way from a wanted worker to one of the crew. `known` returns the children that are neither."""

    def __init__(
        self,
        crew: Crew,
        *,
        generations: Generations,
        fleet: Callable[[], Fleet],
        log: Log,
    ) -> None:
        self.known: Callable[[], Collection[int]] = set
        self.molds = Molds(crew.another(), log)
        self.molds.on_forked = self._on_forked
        self.molds.on_done = self.reap_strangers  # which waits for that
        self._crew = crew
        self._generations = generations
        self._fleet = fleet

    def spawn(self, action: Spawn) -> Event:
        """Fork a worker, or ask its mold for one."""
        generation = self._generations[action.generation]
        try:
            if generation.mold is not None:
                self.molds.ask(generation, action.key)
            else:
                self._fork(action, generation)
        except OSError as error:
            return WorkerExited(action.key, f"can't fork: {error.strerror}")
        return Spawned(action.key)

    def take_over(self, action: TakeOver) -> None:
        """Give a worker the sockets that fall to it; one that isn't forked yet will be given them."""
        if action.key in self._crew.processes:
            self._crew.listen(action.key, self._listeners_of(action.slot))

    def reap_strangers(self) -> None:
        """Reap children that are no workers, unless one may be a worker whose pid a mold is about to tell.

        An init is given some; by exec(3) some are inherited.
        """
        if not self.molds.forking:
            for pid in strangers(self._pids):
                os.waitpid(pid, os.WNOHANG)

    @property
    def _pids(self) -> set[int]:
        return {*self.known(), *self.molds.pids, *self._crew.pids}

    def _is_new(self, pid: int) -> bool:
        """Tell whether it is a child that isn't known yet: what a mold says, the application may have made it say."""
        if pid in self._pids:
            return False
        with suppress(OSError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return True
        return False

    def _listeners_of(self, slot: int) -> tuple[socket.socket, ...]:
        wanted = self._fleet().wanted
        return self._generations[wanted.generation].listeners.for_slot(slot, max(1, wanted.workers))

    def _fork(self, action: Spawn, generation: Generation) -> None:
        self._crew.fork(
            action.key,
            generation.work,
            generation.files.paths,
            slot=action.slot,
            generation=action.generation,
            listeners=self._listeners_of(action.slot),
        )

    def _on_forked(self, key: int, pid: int, channel: Channel) -> None:
        slot = self._fleet().places[key].slot
        try:
            if not self._is_new(pid):
                raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))
            self._crew.adopt(key, pid, channel, slot, self._listeners_of(slot))
        except OSError as error:
            channel.close()
            self.molds.on_failed(key, f"can't fork: {error.strerror}", 0)
