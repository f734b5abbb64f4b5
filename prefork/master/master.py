"""The master: turns what happens into events, has the supervisor decide, and does what it decided.

It watches signals, the workers' pidfds and channels. It never touches a request, never starts a thread, never waits for
anything but its poller. Who wants to know what becomes of the fleet is an observer.
"""

import gc
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, TypeAlias

from prefork.config.addresses import Address
from prefork.config.errors import ConfigError
from prefork.ipc.channel import Left, Message, Ready, RecycleMe, Reopen, Retire
from prefork.ipc.scoreboard import Scoreboard
from prefork.logs.log import Log
from prefork.master import fleet as f
from prefork.master.balance import Balance
from prefork.master.crew import MALFORMED, Crew, End
from prefork.master.errors import StartError
from prefork.master.forking import Forking
from prefork.master.generation import Generation, Generations, Root
from prefork.master.heartbeats import Heartbeats
from prefork.master.outcomes import News, UpgradeFailed, start_error
from prefork.master.poller import Poller
from prefork.master.processes import Process
from prefork.master.reports import Reports
from prefork.master.state import State, processes_of, state_of
from prefork.master.supervisor import decide, next_deadline, overdue
from prefork.master.transitions import TRANSITIONS
from prefork.master.upgrade import Upgrade

STOPPING: Final = "the service is stopping"
CUT_AFTER: Final = 0.05  # seconds, for a worker that may not be killed

Observer: TypeAlias = Callable[[f.Fleet, Sequence[News]], None]


class Master:
    """The fleet, its processes, and the generations that they are forked from.

    Each of `observers` is told the fleet and the news, which are the actions of every decision, when these are done,
    and what fails before there is a decision about it.
    """

    def __init__(
        self,
        generation: Generation,
        root: Root,
        log: Log,
        reports: Reports,
        poller: Poller,
        *,
        former: State | None = None,
    ) -> None:
        """Go on, where there is a `former`, with its workers, which are of this generation or older."""
        self.observers: list[Observer] = []
        self._fleet = former.fleet if former else f.Fleet(generation.wanted())
        self._generations = Generations(generation, former.newest if former else generation.number, root)
        self._root = root
        self._log = log
        self._reports = reports
        self._reload_again = False
        self.crew = Crew(poller, Scoreboard(former.scoreboard if former else None), log)
        self.crew.on_message = self._on_message
        self.crew.on_malformed = lambda key: self.kill(f.Kill(key, MALFORMED))
        self.crew.on_exit = self._on_exit
        self.forking = Forking(self.crew, generations=self._generations, fleet=lambda: self._fleet, log=log)
        self.forking.known = lambda: self._upgrade.pids
        self.molds = self.forking.molds
        self.molds.on_failed = self._on_not_forked
        self.molds.on_unready = reports.mold_failed
        self._heartbeats = Heartbeats()
        self._balance = Balance(self.crew, log)
        self._poller = poller
        self._poller.keep_time(self)
        self._upgrade = Upgrade(poller, self._on_upgrade_failed)
        for key, process in processes_of(former, generation.listeners, self.crew.scoreboard) if former else ():
            self.crew.attend(key, process)

    def run(self) -> None:
        """Serve until told to stop.

        Raises:
            StartError: 70 when no worker ever got ready, 65 or so when none ever can.
        """
        gc.collect()
        gc.freeze()  # what is there now stays shared with the workers: no collection touches it
        try:
            if self._fleet.announced:  # by the former program
                self.reload()
            else:
                self._happen(f.ResizeAsked(self._fleet.wanted.workers))  # from none to all
            while self._fleet.ending is None or self._fleet.places:
                self._poller.turn()
                self._upgrade_if_due()
        finally:
            self.molds.keep_only(None)
            self.molds.close()
            self._generations.close_listeners()
            self._current.files.close()
            self.crew.scoreboard.close()
            self._poller.block_signals()
        if error := start_error(self._fleet):
            raise error

    def next_deadline(self) -> float | None:
        """Return when the next place is overdue, or a check."""
        moments = next_deadline(self._fleet), self._heartbeats.next_check(self.hang_timeout), self._balance.due
        return min((each for each in moments if each), default=None)

    def expire(self, now: float) -> None:
        """Have decided about all that is overdue."""
        while late := overdue(self._fleet, now):
            self._happen(late)
        for key in self._heartbeats.late(self._ready, self.hang_timeout, now):
            self._happen(f.HeartbeatStale(key))
        if self._balance.due and now >= self._balance.due:
            self._balance.restore(self._ready())

    @property
    def fleet(self) -> f.Fleet:
        """The fleet as it is now."""
        return self._fleet

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the service listens; nowhere any more while it ends."""
        return () if self._fleet.ending else self._current.listeners.addresses

    @property
    def hang_timeout(self) -> float:
        """How long a worker may be quiet, in seconds; 0 for ever."""
        return self._current.config.loop_timeout

    def _ready(self) -> dict[int, Process]:
        ready = [key for key, place in self._fleet.places.items() if place.phase is f.Phase.READY]
        return {key: self.crew.processes[key] for key in ready}

    @property
    def _current(self) -> Generation:
        return self._generations[self._fleet.wanted.generation]

    def _happen(self, event: f.Event) -> None:
        """Have the event decided about, do what is decided, and so on with what comes of that."""
        events = [event]
        while events:
            self._fleet, actions = decide(self._fleet, events.pop(0), monotonic())
            if self._fleet.ending is not None:
                # So that clients are refused as soon as the workers have left, and go elsewhere; before these are told,
                # since what came after they had left would be reset by this.
                self._generations.close_listeners()
            outcomes = [PERFORM[type(action)](self, action) for action in actions]
            events += [outcome for outcome in outcomes if outcome is not None]
            self._tell(actions)
        if self._reload_again:
            self.reload()
        if self._fleet.ending in f.GIVEN_UP:
            self._poller.block_signals()  # all is killed; they are for whoever tries again

    def _tell(self, news: Sequence[News]) -> None:
        for observe in self.observers:
            observe(self._fleet, news)

    # What signals and commands ask for

    def stop(self, ending: f.Ending) -> None:
        """Finish what has begun, if not FAST, then end."""
        self._reports.stopping(ending)
        self._upgrade.cancel(STOPPING)
        self._happen(f.StopAsked(ending))

    def reload(self) -> None:
        """Replace the workers by some of the present configuration."""
        if self._fleet.stopping:
            self._reload_again = False
            self._log.warning("reload ignored", reason=STOPPING)
            return
        if self._fleet.fallback is not None or not self._fleet.announced:
            self._reload_again = True  # one at a time: reloads that come faster than a worker boots would never end
            return
        self._reload_again = False
        self._generations.newest += 1
        self._reports.reloading(self._generations.newest)
        try:
            generation = self._generations.renew(self._current)
        except (ConfigError, StartError) as error:
            failed = f.ReloadFailed(self._generations.newest, self._current.number, str(error))
            self._reports.reload_failed(failed)
            self._tell([failed])
            return
        self._happen(f.ReloadAsked(generation.wanted()))

    def upgrade(self) -> str | None:
        """Become the program that is installed now, once it has passed a trial; return why that can't even begin."""
        reason = STOPPING if self._fleet.stopping else self._upgrade.begin(self._state())
        if reason:
            self._log.warning("upgrade ignored", reason=reason)
        return reason

    def _on_upgrade_failed(self, reason: str) -> None:
        self._reports.upgrade_failed(self._current.number, reason)
        self._tell([UpgradeFailed(self._current.number, reason)])

    def _upgrade_if_due(self) -> None:
        if self._may_upgrade:
            with self._poller.hold_signals():
                if self._may_upgrade:  # what came before they were held has had its effect
                    self.molds.keep_only(None)
                    self._upgrade.perform(self._state())

    @property
    def _may_upgrade(self) -> bool:
        """Not during a reload: the state has no place for two generations; nor for a worker that is only asked for."""
        quiet = self._fleet.announced and self._fleet.fallback is None and not self.molds.awaited
        return self._upgrade.due and quiet

    def _state(self) -> State:
        return state_of(self._fleet, self._generations.newest, self._current, self.crew, self._root.kept())

    def reopen(self) -> None:
        """Open the log files afresh, here and in the workers."""
        fds = self._current.files.reopen(self._log)
        self._log.info("log files reopened", count=len(fds))
        for crew in (self.molds, self.crew):
            crew.tell_all(Reopen(), lambda: tuple(self._current.files.paths))

    def resize(self, workers: int) -> str | None:
        """Have so many workers; return why that can't even begin."""
        if self._fleet.stopping:
            return STOPPING
        try:
            self._generations.grow(self._current.number, workers)
        except StartError as error:
            self._log.error("resize failed", workers=workers, reason=error)
            return str(error)
        self._log.info("resizing", workers=workers)
        self._happen(f.ResizeAsked(workers))
        return None

    # Actions

    def retire(self, action: f.Retire) -> f.Event | None:
        """Tell a worker to leave, and to whom its connections go."""
        if self.molds.withdraw(action.key):
            return f.WorkerExited(action.key, "not forked yet")
        left_by = self._fleet.places[action.key].leaves_by
        message = Retire(self._fleet.wanted.graceful_timeout, action.for_good, left_by)
        try:
            self.crew.hand_over(action.key, action.heirs, message)
        except OSError as error:
            self._log.error("connections can't move", **self._names(action.key), reason=error.strerror)
        return None

    def kill(self, action: f.Kill) -> None:
        """End a worker, or the mold that has not forked it in time."""
        if not self.molds.kill_for(action.key, action.reason):
            self._log.warning("killing worker", **self._names(action.key), reason=action.reason)
            if not self.crew.kill(action.key):
                self.crew.tell(action.key, Retire(CUT_AFTER, for_good=True))

    def dump_stacks(self, action: f.DumpStacks) -> None:
        """Have a worker that hangs say where."""
        process = self.crew.processes[action.key]
        request = process.row.noted or "none"
        self._log.error("worker hangs; its stacks follow", **self._names(action.key), request=request)
        process.dump()

    def report_respawn(self, action: f.Respawn) -> None:
        """Tell of a worker that failed."""
        self._log.warning("worker failed", slot=action.slot, reason=action.reason, respawn_in=f"{action.delay:.3g}s")

    def announce(self, action: f.ServiceReady) -> None:
        """Tell that the service is there."""
        self._root.on_ready()
        self._reports.ready(self._fleet.wanted)

    def keep_new(self, action: f.Reloaded) -> None:
        """Give the old generations up."""
        self._give_up_others()
        self._reports.reloaded(self._fleet.wanted)

    def keep_old(self, action: f.ReloadFailed) -> None:
        """Give the new generations up."""
        self._give_up_others()
        for key in self._ready():  # a unix socket that was bound anew is theirs now; nobody reaches the one before
            self.forking.take_over(f.TakeOver(key, self._fleet.places[key].slot))
        self._reports.reload_failed(action)

    def _give_up_others(self) -> None:
        self._generations.keep_only(self._current.number)
        self.molds.keep_only(self._current.number)

    def finish(self, action: f.Finish) -> None:
        """Tell of the end; no worker is left."""
        self._reports.stopped()

    # What the workers do

    def _on_not_forked(self, key: int, reason: str, status: int) -> None:
        self._happen(f.WorkerExited(key, reason, status))

    def _on_exit(self, key: int, end: End) -> None:
        names = {**self._names(key), "pid": end.pid}
        self._log.info("worker exited", **names, reason=end.reason, **end.asked)
        if end.failed is not None:
            self._reports.failed(names, end.failed)
        reason, status = (end.failed.reason, end.failed.status) if end.failed else (end.reason, 0)
        self._happen(f.WorkerExited(key, reason, status))

    def _on_message(self, key: int, message: Message) -> None:
        match message:
            case Ready() if self._may_happen(f.WorkerReady(key)):
                self._log.info("worker ready", **self._names(key))
                self._happen(f.WorkerReady(key))
                self._balance.joined(monotonic())
            case RecycleMe(reason) if self._may_happen(f.RecycleAsked(key)):
                self._log.info("recycling worker", **self._names(key), reason=reason)
                self._happen(f.RecycleAsked(key))
            case Left() if self._may_happen(f.WorkerLeft(key)):
                self._happen(f.WorkerLeft(key))
            case _:
                self._log.error("unexpected message", **self._names(key), message=type(message).__name__)

    def _may_happen(self, event: f.PlaceEvent) -> bool:
        """Tell whether a worker can have said so where it is now: what is written into its channel may be anything."""
        return (self._fleet.places[event.key].phase, type(event)) in TRANSITIONS

    def _names(self, key: int) -> dict[str, object]:
        place, process = self._fleet.places[key], self.crew.processes.get(key)
        return {"slot": place.slot, "pid": process and process.pid, "generation": place.generation}


# fmt: off
PERFORM: Final[Mapping[type[f.Action], Callable[[Master, Any], f.Event | None]]] = {  # Any: each takes its own action
    f.Spawn:        lambda master, action: master.forking.spawn(action),
    f.Retire:       Master.retire,
    f.Kill:         Master.kill,
    f.DumpStacks:   Master.dump_stacks,
    f.TakeOver:     lambda master, action: master.forking.take_over(action),
    f.Respawn:      Master.report_respawn,
    f.ServiceReady: Master.announce,
    f.Reloaded:     Master.keep_new,
    f.ReloadFailed: Master.keep_old,
    f.Finish:       Master.finish,
}
# fmt: on
