"""The master: turns what happens into events, has the supervisor decide, and does what it decided.

One epoll over signals, the workers' pidfds and channels. It never touches a request, never starts a thread, never waits
for anything but this epoll.
"""

import gc
import os
import signal
import socket
from collections.abc import Callable, Collection, Mapping
from time import monotonic
from typing import Any, Final

from msgspec.structs import replace

from prefork.config.errors import ConfigError
from prefork.ipc.channel import Channel, Message, Ready, RecycleMe, Reopen, Retire
from prefork.ipc.scoreboard import Row, Scoreboard
from prefork.ipc.seat import Seat
from prefork.logs import Log
from prefork.master import fleet as f
from prefork.master.balance import Balance
from prefork.master.crew import Crew
from prefork.master.daemon import has_terminal
from prefork.master.errors import StartError
from prefork.master.generation import Generation, Hooks
from prefork.master.heartbeats import Heartbeats
from prefork.master.poller import Poller
from prefork.master.processes import Process
from prefork.master.reports import Reports
from prefork.master.state import State, processes_of, state_of
from prefork.master.supervisor import decide, next_deadline, overdue
from prefork.master.upgrade import Upgrade


class Master:
    """The fleet, its processes, and the generations that they are forked from."""

    def __init__(
        self,
        generation: Generation,
        hooks: Hooks,
        log: Log,
        reports: Reports,
        poller: Poller,
        *,
        former: State | None = None,
    ) -> None:
        """Go on, where there is a `former`, with its workers, which are of this generation or older."""
        self._fleet = former.fleet if former else f.Fleet(generation.wanted())
        self._generations = {generation.number: generation}
        self._newest = former.newest if former else generation.number
        self._hooks = hooks
        self._log = log
        self._reports = reports
        self._running = True
        self._reload_again = False
        self._crew = Crew(poller, Scoreboard(former.scoreboard if former else None))
        self._crew.on_message = self._on_message
        self._crew.on_exit = self._on_exit
        self._heartbeats = Heartbeats()
        self._balance = Balance(log)
        self._poller = poller
        self._poller.on_signal = self._on_signal
        self._upgrade = Upgrade(poller, lambda reason: reports.upgrade_failed(self._current.number, reason))
        for key, process in processes_of(former, generation.listeners, self._crew.scoreboard) if former else ():
            self._crew.attend(key, process)

    def run(self) -> None:
        """Serve until told to stop.

        Raises:
            StartError: 70 when no worker ever got ready.
        """
        gc.collect()
        gc.freeze()  # what is there now stays shared with the workers: no collection touches it
        try:
            if self._fleet.announced:  # by the former program
                self.reload()
            else:
                self._happen(f.ResizeAsked(self._fleet.wanted.workers))  # from none to all
            self._loop()
        finally:
            self._close_listeners()
            self._poller.ignore_signals()

    def _loop(self) -> None:
        while self._running:
            hang_timeout = self._current.config.hang_timeout
            moments = next_deadline(self._fleet), self._heartbeats.next_check(hang_timeout), self._balance.due
            due = [each for each in moments if each]
            timeout = max(0.0, min(due) - monotonic()) if due else -1
            self._poller.wait(timeout)
            while late := overdue(self._fleet, monotonic()):
                self._happen(late)
            self._check_heartbeats(hang_timeout)
            if self._balance.due and monotonic() >= self._balance.due:
                self._balance.restore(self._ready(), self._crew.tell)
            if self._may_upgrade:
                with self._poller.hold_signals():
                    if self._may_upgrade:  # what came before they were held has had its effect
                        self._upgrade.perform(self._state())

    def _check_heartbeats(self, hang_timeout: float) -> None:
        now = monotonic()
        check = self._heartbeats.next_check(hang_timeout)
        if check is not None and now >= check:
            for key in self._heartbeats.stale(self._ready(), hang_timeout, now):
                self._happen(f.HeartbeatStale(key))

    def _ready(self) -> dict[int, Process]:
        ready = [key for key, place in self._fleet.places.items() if place.phase is f.Phase.READY]
        return {key: self._crew.processes[key] for key in ready}

    @property
    def _current(self) -> Generation:
        return self._generations[self._fleet.wanted.generation]

    def _happen(self, event: f.Event) -> None:
        """Have the event decided about, do what is decided, and so on with what comes of that."""
        events = [event]
        while events:
            self._fleet, actions = decide(self._fleet, events.pop(0), monotonic())
            outcomes = [PERFORM[type(action)](self, action) for action in actions]
            events += [outcome for outcome in outcomes if outcome is not None]
        if self._reload_again:
            self.reload()
        if self._fleet.ending is not None:
            self._close_listeners()  # so that clients are refused as soon as the workers have left, and go elsewhere

    # Signals

    def _on_signal(self, number: int, count: int) -> None:
        if number == signal.SIGCHLD:
            self._crew.reap_strangers(self._upgrade.pids)
            return
        self._log.info("signal", name=signal.Signals(number).name, count=count)
        for _ in range(count if number in COUNTED else 1):
            OBEYED[number](self)

    def stop(self) -> None:
        """Finish what has begun, then end."""
        self._end(f.Ending.GRACEFUL)

    def interrupt(self) -> None:
        """Stop, and at the second time at once."""
        self._end(f.Ending.FAST if self._fleet.ending else f.Ending.GRACEFUL)

    def quit(self) -> None:
        """End at once."""
        self._end(f.Ending.FAST)

    def _end(self, ending: f.Ending) -> None:
        self._reports.stopping(ending)
        self._upgrade.cancel("the service is stopping")
        self._happen(f.StopAsked(ending))

    def reload(self) -> None:
        """Replace the workers by some of the present configuration."""
        if self._fleet.ending is not None or self._fleet.ends_at is not None:
            self._reload_again = False
            self._log.warning("reload ignored", reason="the service is stopping")
            return
        if self._fleet.fallback is not None or not self._fleet.announced:
            self._reload_again = True  # one at a time: reloads that come faster than a worker boots would never end
            return
        self._reload_again = False
        self._newest += 1
        self._reports.reloading(self._newest)
        try:
            generation = self._hooks.renew(self._current, self._newest)
        except (ConfigError, StartError) as error:
            self._reports.reload_failed(f.ReloadFailed(self._newest, self._current.number, str(error)))
            return
        self._generations[generation.number] = generation
        self._happen(f.ReloadAsked(generation.wanted()))

    def upgrade(self) -> str | None:
        """Become the program that is installed now, once it has passed a trial; return why that can't even begin."""
        stopping = self._fleet.ending is not None or self._fleet.ends_at is not None
        reason = "the service is stopping" if stopping else self._upgrade.begin(self._state())
        if reason:
            self._log.warning("upgrade ignored", reason=reason)
        return reason

    @property
    def _may_upgrade(self) -> bool:
        """Not during a reload: the state has no place for two generations."""
        return self._upgrade.due and self._fleet.announced and self._fleet.fallback is None

    def _state(self) -> State:
        return state_of(self._fleet, self._newest, self._current, self._crew, self._hooks.kept())

    def reopen(self) -> None:
        """Open the log files afresh, here and in the workers."""
        fds = self._current.files.reopen(self._log)
        self._log.info("log files reopened", count=len(fds))
        for key in self._crew.processes:
            self._crew.tell(key, Reopen(), fds)

    def grow(self) -> None:
        """Have one worker more."""
        self._resize(self._fleet.wanted.workers + 1)

    def shrink(self) -> None:
        """Have one worker fewer, but one."""
        self._resize(max(1, self._fleet.wanted.workers - 1))

    def drain(self) -> None:
        """Retire all workers and stay."""
        if not has_terminal():  # which sends it by itself when its window changes
            self._resize(0)

    def _resize(self, workers: int) -> None:
        if self._fleet.ending is not None:
            return
        try:
            listeners = self._hooks.grow(self._current, workers)
        except StartError as error:
            self._log.error("resize failed", workers=workers, reason=error)
            return
        self._generations[self._current.number] = replace(self._current, listeners=listeners)
        self._log.info("resizing", workers=workers)
        self._happen(f.ResizeAsked(workers))

    # Actions

    def spawn(self, action: f.Spawn) -> f.Event:
        """Fork a worker."""
        generation = self._generations[action.generation]
        listeners = self._listeners_of(action.slot)

        def work(channel: Channel, row: Row) -> None:
            generation.work(Seat(action.slot, action.generation, listeners, channel, row, self._crew.scoreboard))

        try:
            pid = self._crew.fork(action.key, listeners, work, lambda: self._leave_behind(listeners))
        except OSError as error:
            return f.SpawnFailed(action.key, f"can't fork: {error.strerror}")
        return f.Spawned(action.key, pid)

    def _leave_behind(self, kept: Collection[socket.socket]) -> None:
        """In a forked worker: close the listeners that are not its own, else an address that is dropped stays open."""
        for generation in self._generations.values():
            for each in generation.listeners.sockets:
                if each not in kept:
                    each.close()
        self._hooks.in_child()

    def retire(self, action: f.Retire) -> None:
        """Tell a worker to leave, and to whom its connections go."""
        message = Retire(self._fleet.wanted.graceful_timeout, action.for_good)
        try:
            self._crew.retire(action.key, action.heirs, message)
        except OSError as error:
            self._log.error("connections can't move", **self._names(action.key), reason=error.strerror)

    def kill(self, action: f.Kill) -> None:
        """End a worker."""
        self._log.warning("killing worker", **self._names(action.key), reason=action.reason)
        self._crew.processes[action.key].kill()

    def dump_stacks(self, action: f.DumpStacks) -> None:
        """Have a worker that hangs say where."""
        process = self._crew.processes[action.key]
        self._log.error(
            "worker hangs; its stacks follow", **self._names(action.key), request=process.row.noted or "none"
        )
        process.dump()

    def take_over(self, action: f.TakeOver) -> None:
        """Give a worker the sockets that fall to it."""
        self._crew.listen(action.key, self._listeners_of(action.slot))

    def _listeners_of(self, slot: int) -> tuple[socket.socket, ...]:
        return self._current.listeners.for_slot(slot, max(1, self._fleet.wanted.workers))

    def report_respawn(self, action: f.Respawn) -> None:
        """Tell of a worker that failed."""
        self._log.warning("worker failed", slot=action.slot, reason=action.reason, respawn_in=f"{action.delay:.3g}s")

    def announce(self, action: f.ServiceReady) -> None:
        """Tell that the service is there."""
        self._hooks.on_ready()
        self._reports.ready(self._fleet.wanted)

    def keep_new(self, action: f.Reloaded) -> None:
        """Give the old generations up."""
        self._keep_only(self._current)
        self._reports.reloaded(self._fleet.wanted)

    def keep_old(self, action: f.ReloadFailed) -> None:
        """Give the new generations up."""
        self._keep_only(self._current)
        self._reports.reload_failed(action)

    def _keep_only(self, kept: Generation) -> None:
        for number in [each for each in self._generations if each != kept.number]:
            kept = self._hooks.merge(kept, self._generations.pop(number))
        self._generations[kept.number] = kept

    def finish(self, action: f.Finish) -> None:
        """Leave the loop; no worker is left."""
        self._reports.stopped()
        if action.ending is f.Ending.CRASH_LOOP:
            raise StartError(
                os.EX_SOFTWARE, f"gave up: {self._fleet.failures} workers in a row failed: {action.reason}"
            )
        self._running = False

    # What the workers do

    def _on_exit(self, key: int, reason: str) -> None:
        self._log.info("worker exited", **self._names(key), reason=reason)
        self._happen(f.WorkerExited(key, reason))

    def _on_message(self, key: int, message: Message) -> None:
        match message:
            case Ready():
                self._log.info("worker ready", **self._names(key))
                self._happen(f.WorkerReady(key))
                self._balance.joined(monotonic())
            case RecycleMe(reason):
                self._log.info("recycling worker", **self._names(key), reason=reason)
                self._happen(f.RecycleAsked(key))
            case _:
                self._log.error("unexpected message", **self._names(key), message=type(message).__name__)

    def _names(self, key: int) -> dict[str, object]:
        place = self._fleet.places[key]
        return {"slot": place.slot, "pid": place.pid, "generation": place.generation}

    def _close_listeners(self) -> None:
        for generation in self._generations.values():
            generation.listeners.close()


# fmt: off
COUNTED: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGTTIN, signal.SIGTTOU})  # the second means more
OBEYED: Final[Mapping[int, Callable[[Master], object]]] = {
    signal.SIGTERM:  Master.stop,
    signal.SIGINT:   Master.interrupt,
    signal.SIGQUIT:  Master.quit,
    signal.SIGHUP:   Master.reload,
    signal.SIGUSR1:  Master.reopen,
    signal.SIGUSR2:  Master.upgrade,
    signal.SIGTTIN:  Master.grow,
    signal.SIGTTOU:  Master.shrink,
    signal.SIGWINCH: Master.drain,
}
PERFORM: Final[Mapping[type[f.Action], Callable[[Master, Any], f.Event | None]]] = {  # Any: each takes its own action
    f.Spawn:        Master.spawn,
    f.Retire:       Master.retire,
    f.Kill:         Master.kill,
    f.DumpStacks:   Master.dump_stacks,
    f.TakeOver:     Master.take_over,
    f.Respawn:      Master.report_respawn,
    f.ServiceReady: Master.announce,
    f.Reloaded:     Master.keep_new,
    f.ReloadFailed: Master.keep_old,
    f.Finish:       Master.finish,
}
# fmt: on
