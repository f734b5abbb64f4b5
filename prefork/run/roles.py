"""What the forked processes of a generation do: be a worker, or the mold that its workers are forked from."""

import faulthandler
import os
from collections.abc import Callable, Mapping
from functools import partial
from signal import SIGKILL
from typing import Final

from msgspec import Struct
from setproctitle import setproctitle

from prefork.apps.forked import end_if_forked, leave_seat
from prefork.apps.interface import Application, Find, Source, ThisWorker
from prefork.apps.note import Note
from prefork.config.schema import JOURNALD, Config
from prefork.ipc.seat import Seat
from prefork.logs.files import LogFiles
from prefork.logs.log import Log
from prefork.master.identity import Identity
from prefork.run.boot import PATIENCE, boot, stacks_when_late, telling
from prefork.run.log_files import journal_of_mold, journal_of_worker
from prefork.run.mold import Mold
from prefork.worker.opening import Opener
from prefork.worker.refusals import tell_stranger
from prefork.worker.terms import believing
from prefork.worker.worker import Worker

OVERTIME: Final = 1.0  # seconds after which the user's functions have their stacks logged; the master kills at two


class Roles(Struct, frozen=True):
    """What they have in common; `name` is the service's, `master` the pid of the master."""

    name: str
    master: int
    find: Find
    identity: Identity | None
    config: Config
    files: LogFiles
    tls: Opener | None

    def be_worker(self, seat: Seat) -> None:
        """Become its user, load the application and serve it."""

        def load(this: ThisWorker) -> Application:
            return boot(
                self.config,
                self.find,
                lambda source: source.load(this),
                identity=self.identity,
                channel=seat.channel,
                stacks=seat.stacks,
            )

        self._serve(seat, load)

    def be_mold(self, seat: Seat) -> None:
        """Become the workers' user, load the application, and be forked."""
        setproctitle(f"{self.name}: mold [generation {seat.generation}]")
        source = boot(
            self.config,
            self._find_with_master,
            preloaded,
            identity=self.identity,
            channel=seat.channel,
            stacks=seat.stacks,
        )
        log = Log("mold", self.config.log_level, journal_of_mold(self.config, self.name, seat.generation))
        Mold(seat, partial(self._be_worker_of, source), log, self.files).run()

    def _find_with_master(self, config: Config, variables: Mapping[str, str]) -> Source:
        """Look only as long as the master lives: its end is not noticed before the application is loaded."""
        from prefork.master import prctl  # noqa: PLC0415 - ctypes makes a process larger

        prctl.end_with(self.master, SIGKILL)
        return self.find(config, variables)

    def _be_worker_of(self, source: Source, seat: Seat) -> None:
        def load(this: ThisWorker) -> Application:
            with telling(seat.channel), stacks_when_late(seat.stacks, self.config.boot_timeout * PATIENCE):
                return source.load(this)

        self._serve(seat, load)

    def _serve(self, seat: Seat, load: Callable[[ThisWorker], Application]) -> None:
        setproctitle(f"{self.name}: worker {seat.slot} [generation {seat.generation}]")
        journal = journal_of_worker(self.config, self.name, seat.slot, seat.generation)
        log = Log(f"worker-{seat.slot}", self.config.log_level, journal if self.config.log == JOURNALD else None)
        pid = os.getpid()
        faulthandler.enable(seat.stacks)  # where what is the master's is left out
        os.register_at_fork(after_in_child=partial(leave_seat, seat))
        forwarding = believing(self.config, partial(tell_stranger, log))
        application = load(ThisWorker(seat.slot, seat.generation, pid, log, Note(seat.row), forwarding))
        left = 0.0
        try:
            entries = journal if self.config.access_log == JOURNALD else None
            worker = Worker(
                seat,
                self.config,
                application,
                log,
                self.files,
                forwarding=forwarding,
                tls=self.tls,
                journal=entries,
            )
            worker.prepare_for_forks()
            left = worker.run()
        finally:
            end_if_forked(pid)
            with stacks_when_late(seat.stacks, left + OVERTIME):
                application.worker_exit()


def preloaded(source: Source) -> Source:
    """Load what the workers share."""
    source.preload()
    return source
