"""The composition root: makes a generation of listeners, files and work from a configuration, and runs the master.

Whatever a forked worker needs is put into its `work` here, so that the master knows neither HTTP nor the application.
"""

import faulthandler
import os
import platform
import resource
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from time import monotonic

from msgspec import Struct, field
from msgspec.structs import replace
from setproctitle import setproctitle

from prefork.apps.interface import Find
from prefork.config.keys import held_until_restart
from prefork.config.load import Loaded
from prefork.config.schema import Config
from prefork.development.retrying import persist
from prefork.development.watching import Watching, check_watching, watching
from prefork.http.reasons import REASONS
from prefork.ipc.control_path import service_name
from prefork.logs.files import LogFiles
from prefork.logs.log import STDERR, Log
from prefork.master.commands import Commands
from prefork.master.control import Control, HeldControl
from prefork.master.daemon import Verdict, detach, fill_closed_streams
from prefork.master.errors import StartError, refusals
from prefork.master.generation import Generation, Kept
from prefork.master.identity import look_up
from prefork.master.listeners import Listener, Listeners
from prefork.master.master import Master
from prefork.master.pidfile import PidFile
from prefork.master.poller import Poller
from prefork.master.reports import Reports
from prefork.master.signals import CAUGHT, obey
from prefork.master.state import State, claim, listeners_of
from prefork.master.status_line import StatusLine
from prefork.master.stored import FdStore
from prefork.master.watchdog import Watchdog, watchdog_interval
from prefork.run.expiry import Expiry
from prefork.run.extras import prepared_for_molds, secured
from prefork.run.listening import Inherited, listen, open_control, worker_count
from prefork.run.log_files import Onlooker, follow, onlooker, open_files, open_next_files
from prefork.run.roles import Roles
from prefork.systemd import Notifier, drop_variables, farewell, has_manager, store_capacity, unit_name
from prefork.version import VERSION


def serve(name: str, find: Find, loaded: Loaded, reread: Callable[[], Loaded]) -> int:
    """Serve what `find` finds until told to stop, and return the exit status.

    Raises:
        StartError: the service can't start; where it was to be a daemon, the command says so and not the daemon.
    """
    with refusals():
        fill_closed_streams()
        if loaded.config.daemon and loaded.config.log == "-":
            Log("master", loaded.config.log_level).warning(
                "a daemon has no standard error; set log to a file to keep its log"
            )
        pid_file = PidFile(loaded.config.pid_file) if loaded.config.pid_file else None
        inherited = Inherited()
        verdict = detach(inherited.kept(loaded.config.bind)) if loaded.config.daemon else onlooker(loaded.config)
    try:
        check_watching(loaded.config)
        with watching(loaded.config, loaded.path) as watcher:

            def start(current: Loaded) -> int:
                with refusals():
                    program = Program(name, find, current, reread, Held(pid_file, inherited, verdict, watcher))
                return program.run()

            awaited = has_manager(os.environ) or inherited.kept(loaded.config.bind)
            if watcher is None or awaited or isinstance(verdict, Verdict):
                return start(loaded)
            return persist(start, loaded, reread, watcher, verdict.waits if verdict is not None else None)
    except StartError as error:
        if verdict is not None:
            verdict.failed(error)
        raise


def resume(name: str, find: Find, former: State, reread: Callable[[], Loaded]) -> int:
    """Go on with the service of this process, which was another program until now, and return the exit status.

    The configuration is read no sooner than for a reload, which any mistake in it merely fails.
    """
    with refusals():
        fill_closed_streams()
        claim(former)
    kept = former.kept
    pid_file = PidFile(kept.pid_file, kept.descriptors["pid_file"]) if kept.pid_file else None
    with watching(former.config, kept.path) as watcher:
        loaded = Loaded(former.config, {}, kept.path)
        with refusals():
            program = Program(name, find, loaded, reread, Held(pid_file, watching=watcher))
        return program.resume(former)


class Held(Struct, frozen=True):
    """What a run of the service has beside its listeners, some of it from the start."""

    pid_file: PidFile | None
    inherited: Inherited = field(default_factory=Inherited)
    verdict: Verdict | Onlooker | None = None
    watching: Watching | None = None


class Program:
    """One run of the service."""

    def __init__(
        self,
        name: str,
        find: Find,
        loaded: Loaded,
        reread: Callable[[], Loaded],
        held: Held,
    ) -> None:
        self._name = service_name(loaded.config.name) if loaded.config.name else name
        self._find = find
        self._loaded = loaded
        self._reread = reread
        self._held = held
        self._pid_file = held.pid_file
        self._control: Control | None = None
        self._started = monotonic()
        self._variables: Mapping[str, str] = {}
        self._expiry = Expiry(lambda path, problem: self._log.warning("certificate", path=path, problem=problem))
        self._poller = Poller()
        self._poller.keep_time(self._expiry)
        self._poller.catch(CAUGHT)  # what comes before there is a master waits for it

    def run(self) -> int:
        """Serve until told to stop, and return the exit status; raises StartError."""
        try:
            return self._start(self._loaded.config)
        except StartError as error:
            Notifier(self._variables).status(f"error: {error}")
            raise
        finally:
            self._poller.close()

    def _start(self, config: Config) -> int:
        with ExitStack() as at_end:
            with refusals(), ExitStack() as undo:
                if self._pid_file is not None:
                    self._pid_file.acquire()
                    at_end.callback(self._pid_file.release)
                    self._pid_file.write(os.getpid())
                commanded, why_not = open_control(config, self._name)
                if commanded is not None:
                    at_end.callback(self._close_control, commanded)
                self._identity = look_up(config.user, config.group)
                self._variables = drop_variables(os.environ)
                listeners = self._held.inherited.listen(config, self._identity)
                undo.callback(self._held.inherited.close_fresh, listeners)
                generation = self._generation(1, config, listeners, None)
                master = self._master(generation, commanded, why_not=why_not)
                undo.pop_all()
            master.run()
            return os.EX_OK

    def resume(self, former: State) -> int:
        """Go on from an upgrade, and return the exit status; raises StartError."""
        self._identity = former.kept.identity
        self._variables = former.kept.variables
        number = former.fleet.wanted.generation
        workers = worker_count(former.config)
        self._started = former.kept.started
        with ExitStack() as at_end:
            if self._pid_file is not None:
                at_end.callback(self._pid_file.release)
            with refusals():
                commanded = former.kept.control.opened() if former.kept.control else None
                if commanded is not None:
                    at_end.callback(self._close_control, commanded)
                files = partial(LogFiles.taken_over, former.log_paths, former.access_fd)
                generation = self._made(number, former.config, workers, listeners_of(former), files)
                master = self._master(generation, commanded, former)
            master.run()
            return os.EX_OK

    # What the master asks for, as its Root.

    def renew(self, previous: Generation, number: int) -> Generation:
        """Make the generation of this number, after the given one, from the present configuration."""
        read = self._reread().config
        held = held_until_restart(previous.config, read)
        for name in held:
            self._log.warning("takes effect at the next restart", key=name)
        if not held.keys().isdisjoint(("user", "group")):
            look_up(read.user, read.group)  # else it is the restart that fails
        config = replace(read, **held)
        listeners = listen(config, worker_count(config), previous.listeners.reachable(), self._identity)
        try:
            generation = self._generation(number, config, listeners, previous)
        except (OSError, StartError):
            listeners.close_dropped(previous.listeners)
            raise
        self._store.keep(listeners)
        return replace(generation, at_restart=tuple(held))

    def grow(self, generation: Generation, workers: int) -> Listeners:
        """Open what so many workers need."""
        listeners = listen(generation.config, workers, generation.listeners, self._identity)
        self._store.keep(listeners)
        return listeners

    def merge(self, kept: Generation, given_up: Generation) -> Generation:
        """Have the first take over what it needs of the second, which is given up."""
        listeners = kept.listeners.with_sockets_of(given_up.listeners)
        self._store.settle(listeners)
        for each in (kept, given_up):
            each.listeners.close_dropped(listeners)
        self._expiry.keep_only(kept.number)
        if given_up.files is not kept.files:
            given_up.files.close()
            kept.files.take_back_stderr()
            kept.files.reopen(self._log)
        follow(self._log, kept.config, self._name)
        return replace(kept, listeners=listeners)

    def on_ready(self) -> None:
        """Tell who waits for the start."""
        if self._held.verdict is not None:
            self._held.verdict.ready()
            self._held = replace(self._held, verdict=None)

    def kept(self) -> Kept:
        """Return what an upgrade is to pass on."""
        return Kept(
            path=self._loaded.path,
            identity=self._identity,
            pid_file=self._pid_file.path if self._pid_file else None,
            variables=self._variables,
            descriptors={"pid_file": self._pid_file.fd} if self._pid_file else {},
            control=self._control.held() if self._control else None,
            started=self._started,
        )

    # What these consist of.

    def _master(
        self, generation: Generation, commanded: Listener | None, former: State | None = None, *, why_not: str = ""
    ) -> Master:
        self._become_master(generation.config)
        if former is None:
            self._say_how_it_starts(generation)
        if why_not:
            self._log.warning("no commands obeyed", reason=why_not)
        self._notifier = Notifier(self._variables)
        self._store = FdStore(self._notifier, store_capacity(self._variables), self._log, self._held.inherited.stored)
        self._store.settle(generation.listeners)
        reports = Reports(self._log, self._notifier, former.version if former else None)
        self._poller.on_failure = reports.refused
        master = Master(generation, self, self._log, reports, self._poller, former=former)
        line = self._tell_manager(master)
        self._poller.on_signal = partial(obey, master, self._log)
        if commanded is not None:
            self._obey_commands(master, commanded, line, former.kept.control if former else None)
        if self._held.watching is not None:
            self._held.watching.begin(self._poller, master.reload, self._log)
        return master

    def _become_master(self, config: Config) -> None:
        raise_descriptor_limit()
        faulthandler.enable(STDERR)  # by SIGABRT systemd ends a service that doesn't answer its watchdog
        setproctitle(f"{self._name}: master [{self._loaded.path or 'no config file'}]")
        self._log = Log("master", config.log_level)
        follow(self._log, config, self._name)

    def _tell_manager(self, master: Master) -> StatusLine:
        interval = watchdog_interval(self._variables, os.getpid())
        self._poller.keep_time(Watchdog(interval, self._notifier, lambda: master.fleet, self._log))
        line = StatusLine(self._notifier, lambda: master.fleet, lambda: master.crew.processes)
        self._poller.keep_time(line)
        master.observers.append(line.observe)
        return line

    def _obey_commands(self, master: Master, commanded: Listener, line: StatusLine, held: HeldControl | None) -> None:
        commands = Commands(self._name, master, self._started, REASONS, lambda: line.past)
        self._control = Control(commanded, self._poller, commands, self._log, farewell(self._variables, unit_name()))
        if held is not None:
            self._control.resume(held, master.fleet.wanted.generation)
        master.observers.append(self._control.observe)

    def _close_control(self, commanded: Listener) -> None:
        (self._control or commanded).close()  # it may listen anew

    def _generation(self, number: int, config: Config, listeners: Listeners, previous: Generation | None) -> Generation:
        files = (
            partial(open_next_files, config, previous.config, previous.files)
            if previous
            else partial(open_files, config)
        )
        return self._made(number, config, worker_count(config), listeners, files)

    def _made(
        self, number: int, config: Config, workers: int, listeners: Listeners, open_last: Callable[[], LogFiles]
    ) -> Generation:
        opener, certificates = secured(config)
        has_mold = prepared_for_molds(config)
        files = open_last()  # whatever fails before is told where the log has been
        self._expiry.watch(number, certificates)
        roles = Roles(self._name, os.getpid(), self._find, self._identity, config, files, opener)
        return Generation(
            number, config, workers, listeners, files, roles.be_worker, roles.be_mold if has_mold else None
        )

    def _say_how_it_starts(self, generation: Generation) -> None:
        config = generation.config
        origin = self._loaded.path or "defaults"
        self._log.info("starting", version=VERSION, python=platform.python_version(), config=origin)
        self._held.inherited.tell(generation.listeners, config, self._log)
        if os.geteuid() == 0 and self._identity is None:
            self._log.warning("workers run as root; set user to let them run as somebody else")


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system does: the low soft limit is for programs that use select(2)."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):  # EPERM: the hard limit is above fs.nr_open (setrlimit(2))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
