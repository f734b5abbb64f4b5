"""One worker process: accepts, serves, and leaves when it is told to or when its master is gone.

It is told by messages of the master, or by the end of file of its channel, which is all that is left of a master that
was killed. Leaving is the same in each case: listen no more, finish what has begun, exit. SIGTERM has it ask the master
first.
"""

import faulthandler
import math
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import chain

from prefork.apps.interface import Application
from prefork.config.schema import Config
from prefork.descriptors import leave
from prefork.http.forwarded import Forwarding
from prefork.http.service import Service
from prefork.http.waiting import Waiting
from prefork.ipc.channel import Adopt, Left, Listen, Message, Ready, RecycleMe, Reopen, Retire, Share
from prefork.ipc.handover import Handover
from prefork.ipc.scoreboard import ACCEPTING, CONNECTIONS, HEARTBEAT, OPENING, REQUESTS
from prefork.ipc.seat import Seat
from prefork.logs.access import AccessLog, tell_losses
from prefork.logs.files import LogFiles
from prefork.logs.journal import Entries, Journal
from prefork.logs.log import Log
from prefork.wording import MORE_DESCRIPTORS
from prefork.worker.accepting import Acceptor
from prefork.worker.admitting import Admission
from prefork.worker.balancing import never, pause
from prefork.worker.dates import imf_fixdate
from prefork.worker.deadlines import expired, tick_of, timeouts
from prefork.worker.leaving import Leaving
from prefork.worker.lines import Lines
from prefork.worker.loop import READABLE, Loop
from prefork.worker.moving import Arrivals, Sharing
from prefork.worker.observing import Watch
from prefork.worker.opening import Opener
from prefork.worker.refusals import Refusals
from prefork.worker.signals import Signals
from prefork.worker.terms import capacity, limits, openers
from prefork.worker.wearing import Wear, Wearing


class Worker:
    """The worker: its loop, its listeners and its connections."""

    def __init__(
        self,
        seat: Seat,
        config: Config,
        application: Application,
        log: Log,
        files: LogFiles,
        *,
        forwarding: Forwarding,
        tls: Opener | None = None,
        journal: Journal | None = None,
    ) -> None:
        """Where there is a `journal`, the access log goes there."""
        self._config = config
        self._application = application
        self._log = log
        self._files = files
        self._channel = seat.channel
        self._loop = Loop()
        self._forwarding = forwarding
        self._service = Service(
            application.respond,
            limits(config),
            application.new_content,
            application.new_awaited,
            self._forwarding.believes,
        )
        self._access_log = access_log(files, journal)
        self._acceptors: list[Acceptor] = []
        self._timeouts = timeouts(config)
        self._tick = tick_of([*self._timeouts.values(), config.handshake_timeout], config.loop_timeout)
        self._row = seat.row
        self._refusals = Refusals(self._service, seat.row, log)
        watch, steps = self._watch(journal), openers(config, tls)
        self._admission = Admission(self._service, watch, self._loop, self._row, capacity(config), openers=steps)
        self._connections = self._admission.connections
        self._leaving = Leaving(self._admission, self._loop, log, application.threads)
        self._row[HEARTBEAT] = int(self._loop.now * 1e9)
        self._pause = partial(pause, seat.scoreboard, self._loop, self._connections)
        wear = Wear(config.max_requests, config.max_lifetime, config.max_memory, config.recycle_jitter)
        self._wearing: Wearing | None = Wearing(wear, self._loop.now)
        self._worn_out = ""  # why it asks to be replaced, until the master has been told
        self._date_due = 0.0
        self._stacks = seat.stacks
        self._signals = Signals(seat.stacks)
        self._heed()
        self._listen(seat.listeners)

    def run(self) -> float:
        """Serve until told to leave, or left alone, and all that has begun is finished.

        Returns how many seconds are left of those in which it must end.
        """
        if self._access_log is not None:
            self._loop.after_turn.append(self._access_log.flush)
        with suppress(ConnectionError):  # the master is gone, as the end of file of the channel will tell
            self._channel.send(Ready())
        with suppress(BlockingIOError):  # who was told to leave while it started takes no connection
            while self._leaving.ends_at is None:
                self._on_message(READABLE)
        self._loop.call_at(self._loop.now, self._on_tick)
        self._loop.run()
        self._row[CONNECTIONS] = len(self._connections)  # what ends now, by the user's functions, may take its time
        self._note_longest()
        self._refusals.tell(math.inf)
        if self._access_log is not None:
            self._access_log.flush()
            self._access_log.give_up()
            tell_losses(self._access_log, self._log)
        return max(0.0, (self._leaving.ends_at or 0.0) - self._loop.now)

    def prepare_for_forks(self) -> None:
        """Have processes that the application forks let go of all that is the worker's."""
        signals = self._signals
        os.register_at_fork(
            before=signals.hold_back, after_in_parent=signals.release, after_in_child=self._leave_to_parent
        )

    def _leave_to_parent(self) -> None:
        self._signals.give_back()
        # Not always watched: acceptors that pause, connections whose first bytes are being answered, and heirs.
        acceptors = {each.fileno() for each in self._acceptors}
        connections = (each.fileno() for each in self._connections)
        heirs = (each.fileno() for each in self._leaving.heirs)
        leave(acceptors.union(connections, heirs, self._loop.descriptors()))
        self._signals.release()

    def _heed(self) -> None:
        """Watch for what is said to the worker: by signals, by the master, and by the threads of the application."""
        self._loop.watch(self._signals.fileno(), READABLE, self._on_signal)
        self._loop.watch(self._channel.fileno(), READABLE, self._on_message)
        if (threads := self._application.threads) is not None:
            threads.on_refused = self._service.count
            self._loop.watch(threads.fileno(), READABLE, threads.on_readable)

    def _watch(self, journal: Journal | None) -> Watch | None:
        """Return what watches the connections, None where nobody looks."""
        show_heads = self._config.log_level == "debug"
        if self._access_log is None and not show_heads:
            return None
        lines = Lines(self._config.access_log_format, journal.process if journal else b"")
        return Watch(self._access_log, lines, self._forwarding, self._loop, show_heads=show_heads)

    def _say(self, message: Message) -> bool:
        """Tell the master, and return whether it could be: it may be gone, as the end of file of the channel tells."""
        try:
            self._channel.send(message)
        except OSError:
            return False
        return True

    def _listen(self, listeners: tuple[socket.socket, ...]) -> None:
        for each in listeners:
            each.settimeout(0)
            # A socket for each worker is one of a reuseport group; unix sockets and those of others are for all.
            shared = self._config.accept == "shared" or not each.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
            step_aside = self._pause if shared else never
            self._acceptors.append(
                Acceptor(
                    each,
                    self._loop,
                    self._admission.accept,
                    self._log,
                    step_aside=step_aside,
                    is_full=self._admission.must_wait,
                )
            )

    def _on_tick(self) -> None:
        now = self._loop.now
        if now >= self._date_due:
            self._set_date(now)
        self._loop.call_last(self._expire)
        self._admission.tell_full(self._log)
        if unwatched := self._loop.unwatched:
            self._log.error("no room to watch descriptors", count=unwatched, hint="raise fs.epoll.max_user_watches")
        for acceptor in self._acceptors:
            acceptor.look()
        self._tell(now)
        self._refusals.tell(now)
        if self._access_log is not None:
            tell_losses(self._access_log, self._log)
        self._loop.call_at(min(now + self._tick, self._date_due), self._on_tick)

    def _expire(self) -> None:
        """End what has waited too long; not for want of reading, where the application kept the loop from it."""
        hanging = []
        waiting = chain(self._connections, self._admission.refused)
        for connection in expired(waiting, self._timeouts, self._loop.now, self._config.min_data_rate):
            if connection.waiting_for is Waiting.APPLICATION and (request := connection.occupying):
                hanging.append(request)
            connection.expire()
        self._admission.expire(self._config.handshake_timeout)
        if hanging:
            self._give_up_threads(hanging)

    def _give_up_threads(self, hanging: Iterable[str]) -> None:
        """Tell what threads of the application hang on, and where; nothing ends a thread, so ask for another worker."""
        for request in hanging:
            self._log.error("request timed out", request=request)
        self._log.error("threads hang; all stacks follow", pid=os.getpid())
        faulthandler.dump_traceback(self._stacks)
        self._wear_out("request_timeout passed")

    def _tell(self, now: float) -> None:
        """Tell the master how it goes, and when it has been long enough."""
        self._row[HEARTBEAT] = heartbeat = int(now * 1e9)
        self._row[ACCEPTING] = heartbeat if self._acceptors else 0
        self._row[CONNECTIONS] = len(self._connections)
        self._row[OPENING] = len(self._admission.openings)
        self._row[REQUESTS] = self._service.requests
        self._note_longest()
        if self._wearing and (reason := self._wearing.reason(self._service.requests, now)):
            self._wear_out(reason)
        self._ask_to_be_replaced()

    def _note_longest(self) -> None:
        if (threads := self._application.threads) is not None:
            self._row.note_longest(*threads.longest)

    def _set_date(self, now: float) -> None:
        wall = time.time()
        self._date_due = now + 1 - wall % 1
        self._service.renderer.set_date(imf_fixdate(wall))

    def _on_signal(self, _events: int) -> None:
        """Ask to be replaced: who wants the service to end tells the master too, which then knows better when.

        One that leaves has been replaced already, and goes on handing its connections over.
        """
        if self._signals.clear() and self._leaving.ends_at is None:
            self._wear_out("SIGTERM")

    def _wear_out(self, reason: str) -> None:
        """Ask to be replaced, for the first of all reasons."""
        if self._wearing:
            self._wearing, self._worn_out = None, reason
            self._ask_to_be_replaced()

    def _ask_to_be_replaced(self) -> None:
        """Tell the master why, where there is a reason that it couldn't be told before."""
        if self._worn_out and self._say(RecycleMe(self._worn_out)):
            self._worn_out = ""

    def _on_message(self, _events: int) -> None:
        for acceptor in self._acceptors:  # what comes along is lost where there is no descriptor left for it
            acceptor.give_up_reserve()
        received = self._channel.receive()
        if self._channel.is_short:
            self._log.error("no descriptors left for what the master sends", hint=MORE_DESCRIPTORS)
            self._wear_out("out of descriptors")  # a successor gets it all
        if received is not None:
            self._obey(*received)
        else:
            self._loop.forget(self._channel.fileno())
            self._log.warning("master gone: leaving")
            self._retire(self._config.graceful_timeout, for_good=True)

    def _obey(self, message: Message, fds: list[int]) -> None:
        match message:
            case Retire(timeout, for_good, left_by):
                self._leaving.on_left = partial(self._tell_left, left_by)
                self._leaving.hand_over_to([Handover(socket.socket(fileno=fd)) for fd in fds])
                self._retire(timeout, for_good=for_good)
            case Adopt():
                for fd in fds:
                    handover = Handover(socket.socket(fileno=fd))
                    Arrivals(handover, self._loop, self._leaving.arrivals, self._admission.adopt, self._log)
            case Share(count):
                for fd in fds:
                    Sharing(count, Handover(socket.socket(fileno=fd)), self._connections, self._loop, self._log)
            case Listen():
                self._listen(tuple(socket.socket(fileno=fd) for fd in fds))
            case Reopen():
                self._files.adopt(fds)
            case _:
                raise AssertionError("not for a worker that has its seat")

    def _tell_left(self, by: float | None) -> None:
        """Tell the master that this worker has left, if it still waits for that; this turn may have been a long one."""
        if by is not None and time.monotonic() < by:
            self._say(Left())

    def _retire(self, timeout: float, *, for_good: bool) -> None:
        """Listen no more, and leave."""
        if self._leaving.ends_at is None:
            self._application.pre_stop()
        for acceptor in self._acceptors:
            if for_good:
                acceptor.accept_all()
            acceptor.leave()
        self._acceptors.clear()
        self._row[ACCEPTING] = 0
        self._leaving.begin(timeout, for_good=for_good)


def access_log(files: LogFiles, journal: Journal | None) -> AccessLog | Entries | None:
    """Return what writes the access log, if anything does."""
    if journal is not None:
        return Entries(journal)
    return AccessLog(files.access_fd) if files.access_fd is not None else None
