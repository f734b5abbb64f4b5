"""The molds, by the generations of their workers: starts them, has them fork, ends them. Decides nothing.

A mold is started when the first worker of its generation is asked for, or the first since it died. Whoever is asked for
waits until it is forked, which fails when the mold ends. One is asked for at a time, so that it is known of each answer
whose it is.
"""

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from prefork.ipc.channel import Channel, Failed, Fork, Forked, ForkFailed, Message, Ready, channel_pair
from prefork.logs.log import Log
from prefork.master.crew import MALFORMED, Crew, Descriptors, End
from prefork.master.generation import Generation
from prefork.master.processes import Process


class Mold(Struct):
    """What is known of a mold: the keys of the places that wait for it, in their order.

    While it forks for another, the key `asked` for, None when that is no longer wanted, comes with the master's end of
    its channel.
    """

    waiting: list[int] = []
    asked: tuple[int | None, Channel] | None = None
    ready: bool = False
    ended: bool = False

    @property
    def can_fork(self) -> bool:
        """Whether somebody waits for it, and it is not busy with another."""
        return self.ready and bool(self.waiting) and self.asked is None


class Molds:
    """All molds that live.

    `on_forked` is told the key, pid and channel of a worker, now the owner's; `on_failed` a key and why; `on_unready`
    the names of a mold that can't load its application, and why. `on_done` is called when one is ready, has
    forked or has failed to.
    """

    def __init__(self, crew: Crew, log: Log) -> None:
        self.on_forked: Callable[[int, int, Channel], None] = lambda _key, _pid, channel: channel.close()
        self.on_failed: Callable[[int, str, int], None] = lambda _key, _reason, _status: None
        self.on_unready: Callable[[Mapping[str, object], Failed], None] = lambda _names, _failed: None
        self.on_done: Callable[[], object] = lambda: None
        self._molds: dict[int, Mold] = {}
        self._log = log
        self._crew = crew
        self._crew.on_message = self._on_message
        self._crew.on_malformed = lambda number: self._kill(number, MALFORMED)
        self._crew.on_exit = self._on_exit

    @property
    def processes(self) -> dict[int, Process]:
        """Their processes, by their generations."""
        return self._crew.processes

    @property
    def pids(self) -> set[int]:
        """Those of the molds."""
        return self._crew.pids

    @property
    def forking(self) -> bool:
        """Whether one is forking: a worker may be our child already whose pid isn't known yet."""
        return any(each.asked for each in self._molds.values())

    @property
    def awaited(self) -> bool:
        """Whether a place waits for a worker."""
        return any(each.waiting or (each.asked and each.asked[0] is not None) for each in self._molds.values())

    def is_ready(self, generation: int) -> bool:
        """Tell whether the application is loaded."""
        return self._molds[generation].ready

    def ask(self, generation: Generation, key: int) -> None:
        """Have a worker forked, by a mold that may have to be started for it.

        Raises:
            OSError: the system refused.
        """
        number = generation.number
        if number not in self._molds:
            self._start(generation)
        self._molds[number].waiting.append(key)
        if self._molds[number].can_fork:
            self._ask_next(number)

    def withdraw(self, key: int) -> bool:
        """Forget that a worker was asked for; return whether it was, and isn't there yet."""
        for mold in self._molds.values():
            if key in mold.waiting:
                mold.waiting.remove(key)
                return True
            if mold.asked and mold.asked[0] == key:
                mold.asked[1].close()  # by which it ends
                mold.asked = (None, mold.asked[1])
                return True
        return False

    def kill_for(self, key: int, reason: str) -> bool:
        """End the mold that has not forked this one in time, if it was asked for; return whether it was."""
        for number, mold in self._molds.items():
            if key in mold.waiting or (mold.asked and mold.asked[0] == key):
                self._kill(number, reason)
                return True
        return False

    def keep_only(self, generation: int | None) -> None:
        """End all others."""
        for number in self._molds:
            if number != generation:
                self._end(number)

    def tell_all(self, message: Message, fds: Descriptors) -> None:
        """Send all of them a message; where the system refuses, later."""
        self._crew.tell_all(message, fds)

    def close(self) -> None:
        """Close what is the master's of them, at the end."""
        self._crew.close()
        for mold in self._molds.values():
            if mold.asked:
                mold.asked[1].close()

    def _start(self, generation: Generation) -> None:
        number = generation.number
        assert generation.mold is not None
        pid = self._crew.fork(number, generation.mold, generation.files.paths, slot=0, generation=number)
        self._molds[number] = Mold()
        self._log.info("mold started", generation=number, pid=pid)

    def _kill(self, number: int, reason: str) -> None:
        if not self._molds[number].ended:
            self._log.warning("killing mold", **self._names(number), reason=reason)
        self._end(number)

    def _end(self, number: int) -> None:
        self._molds[number].ended = True
        if number in self._crew.processes:
            self._crew.kill(number)

    def _ask_next(self, number: int) -> None:
        mold = self._molds[number]
        key = mold.waiting.pop(0)
        ours, theirs = channel_pair()
        try:
            self._crew.send(number, Fork(), [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        mold.asked = (key, ours)

    def _go_on(self, number: int) -> None:
        mold = self._molds[number]
        while mold.can_fork:
            key = mold.waiting[0]
            try:
                self._ask_next(number)
            except OSError as error:
                self.on_failed(key, f"can't fork: {error.strerror}", 0)

    def _on_message(self, number: int, message: Message) -> None:
        mold = self._molds[number]
        if mold.ended:
            return  # who waits for it is told of its end
        match message:
            case Ready():
                mold.ready = True
                self._log.info("mold ready", **self._names(number))
            case Forked(pid):
                for key, channel in taken(mold):
                    self.on_forked(key, pid, channel)
            case ForkFailed(reason):
                for key, channel in taken(mold):
                    channel.close()
                    self.on_failed(key, f"can't fork: {reason}", 0)
            case _:
                self._log.error("unexpected message", **self._names(number), message=type(message).__name__)
        self.on_done()
        self._go_on(number)

    def _on_exit(self, number: int, end: End) -> None:
        mold = self._molds[number]
        names = {"generation": number, "pid": end.pid}
        if not mold.ended:
            self._log.info("mold exited", **names, reason=end.reason)
        if end.failed:
            self.on_unready(names, end.failed)
        for key, channel in taken(mold):
            channel.close()
            mold.waiting.insert(0, key)
        self.on_done()
        mold.ready, mold.ended = False, True
        reason, status = (end.failed.reason, end.failed.status) if end.failed else (f"the mold: {end.reason}", 0)
        while mold.waiting:
            self.on_failed(mold.waiting.pop(0), reason, status)
        del self._molds[number]

    def _names(self, number: int) -> dict[str, object]:
        return {"generation": number, "pid": self._crew.processes[number].pid}


def taken(mold: Mold) -> Iterator[tuple[int, Channel]]:
    """Yield the key that was asked for and its channel, unless it is no longer wanted, and be done with it."""
    asked, mold.asked = mold.asked, None
    if asked and asked[0] is not None:
        yield asked[0], asked[1]
