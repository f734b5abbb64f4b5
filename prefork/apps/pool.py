"""Runs an application in threads: the loop of the worker goes on reading, writing and counting time meanwhile.

All that is decided about threads is decided in the thread of the loop, so nothing here needs a lock. A thread does one
thing at a time that it was given, posts what came of it, and wakes the loop. A streamed answer stays with the thread
that began it, as what an application keeps for a thread may belong to it; while its client is slow, that thread does
other things.
"""

import os
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import Final, TypeAlias

from prefork.apps.forked import end_if_forked
from prefork.http.answers import Pending, Stream, Truncated, Whole, nothing
from prefork.http.content import Content
from prefork.http.messages import Peer, Rejection, Request, Response
from prefork.http.response import rejected

Task: TypeAlias = Callable[[], object]
Call: TypeAlias = Callable[[Request, Peer, Content | None], Whole | Stream]

BURST: Final = 64 * 1024  # bytes of a streamed answer that are made before its client has to take them
FULL: Final = Rejection(503, "too many requests wait for the application")
BUSY: Final = rejected(FULL)
THREADLESS: Final = "the system has no thread for the application"


class Runner:
    """A thread. `owed` is what only this one can do, and does next; a `request` has been its work `since` a moment."""

    def __init__(self, post: Callable[[Task], None], is_free: "Callable[[Runner], None]") -> None:
        self.owed: deque[Task] = deque()
        self.since = 0.0
        self.request: Request | None = None
        self._inbox: SimpleQueue[Task] = SimpleQueue()
        self._post = post
        self._is_free = is_free
        self._pid = os.getpid()
        thread = Thread(target=self._run, name="application", daemon=True)
        thread.start()
        # Those that the application starts in it inherit that, and would not be waited for.
        thread._daemonic = False  # type: ignore[attr-defined]  # noqa: SLF001 - `daemon` can't be set any more

    def give(self, task: Task) -> None:
        """Have it do this; it has nothing else to do."""
        self._inbox.put(task)

    def begin(self, request: Request) -> None:
        """Note what it is at, in itself."""
        self.since = monotonic()
        self.request = request

    def _run(self) -> None:
        while True:
            self._inbox.get()()
            end_if_forked(self._pid)
            self.request = None
            self._post(partial(self._is_free, self))


class Pool:
    """Up to `size` threads that call an application, and up to `most_waiting` requests that wait for one of them.

    `on_refused` is told status, reason and peer of each request that is too much.
    """

    def __init__(self, call: Call, size: int, most_waiting: int) -> None:
        self.on_refused: Callable[[int, str, Peer], object] = lambda _status, _reason, _peer: None
        self._call = call
        self._size = size
        self._most_waiting = most_waiting
        self._runners: list[Runner] = []
        self._idle: list[Runner] = []
        # Who leaves it has `on_abandon` taken away: by that it holds itself, with an answer as large as the application
        # makes it.
        self._waiting: OrderedDict[Pending, Callable[[Runner], object]] = OrderedDict()
        self._posted: deque[Task] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor that is readable when something is posted."""
        return self._wake

    def on_readable(self, _events: int) -> None:
        """Do in the loop what threads have posted."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._posted:
            self._posted.popleft()()

    @property
    def is_busy(self) -> bool:
        """Whether a thread is at work, be it to close what was answered."""
        return len(self._idle) < len(self._runners)

    @property
    def longest(self) -> tuple[bytes, float]:
        """The head of the request that a thread has been at for the longest time, and since when; empty for none."""
        busy = [(runner.since, request.head) for runner in self._runners if (request := runner.request) is not None]
        since, head = min(busy, default=(0.0, b""))
        return head, since

    def respond(self, request: Request, peer: Peer, content: Content | None) -> Pending | Response:
        """Have the application called as soon as a thread is free; without any, who waits would wait for ever."""
        runner = self._free()
        if runner is None and len(self._waiting) >= (self._most_waiting if self._runners else 0):
            if content is not None:
                content.close()
            self.on_refused(FULL.status, FULL.reason if self._runners else THREADLESS, peer)
            return BUSY
        pending = Pending(has_begun=runner is not None)
        task = partial(self._answer, pending, request, peer, content)
        if runner is not None:
            runner.give(partial(task, runner))
        else:
            self._waiting[pending] = task
            pending.on_abandon = partial(self._forget, pending, content)
        return pending

    def post(self, task: Task) -> None:
        """Have the loop do this; any thread may ask for it."""
        self._posted.append(task)
        os.eventfd_write(self._wake, 1)

    def run_on(self, runner: Runner, task: Task) -> None:
        """Have this very thread do it, before any other request."""
        if runner in self._idle:
            self._idle.remove(runner)
            runner.give(task)
        else:
            runner.owed.append(task)

    def _free(self) -> Runner | None:
        if self._idle:
            return self._idle.pop()
        if len(self._runners) == self._size:
            return None
        try:
            runner = Runner(self.post, self._on_free)
        except RuntimeError:  # the system has no thread for us now
            return None
        self._runners.append(runner)
        return runner

    def _on_free(self, runner: Runner) -> None:
        if runner.owed:
            runner.give(runner.owed.popleft())
            return
        if self._waiting:
            pending, task = self._waiting.popitem(last=False)
            pending.has_begun = True
            pending.on_abandon = nothing
            runner.give(partial(task, runner))
            return
        self._idle.append(runner)

    def _forget(self, pending: Pending, content: Content | None) -> None:
        """Call the application for nobody; in the queue of those that wait, a place is free again."""
        pending.on_abandon = nothing
        del self._waiting[pending]
        if content is not None:
            content.close()

    def _answer(self, pending: Pending, request: Request, peer: Peer, content: Content | None, runner: Runner) -> None:
        """Call the application; in a thread."""
        runner.begin(request)
        answer = self._call(request, peer, content)
        if isinstance(answer, Whole):
            self.post(partial(pending.finish, answer))
        elif answer.file is not None:
            answer.close = partial(self.run_on, runner, answer.close)
            self.post(partial(pending.finish, answer))
        else:
            flow = Flow(self, runner, answer, request)
            self.post(partial(pending.finish, Stream(answer.head, flow.pull, flow.close)))
            flow.burst()


class Flow:
    """A streamed answer on its way from the thread that makes its pieces to the loop that sends them.

    The thread makes a burst of them, and the next one when all of that has been taken.
    """

    def __init__(self, pool: Pool, runner: Runner, stream: Stream, request: Request) -> None:
        self._pool = pool
        self._runner = runner
        self._request = request
        self._stream = stream
        self._pieces: deque[bytes | Truncated | None] = deque()
        self._asked: Pending | None = None
        self._in_burst = True
        self._closed = False

    def pull(self) -> bytes | Pending | None:
        """Return the next piece, None at the end, or what it will be; raises Truncated. In the loop."""
        if self._pieces:
            piece = self._pieces.popleft()
            if isinstance(piece, Truncated):
                raise piece
            return piece
        self._asked = Pending()
        self._make_more()
        return self._asked

    def close(self) -> None:
        """Have the thread close what the application returned. In the loop."""
        self._closed = True
        self._pool.run_on(self._runner, self._stream.close)

    def burst(self) -> None:
        """Make the next pieces. In the thread."""
        self._runner.begin(self._request)
        made = 0
        while made < BURST and not self._closed:
            try:
                piece = self._stream.pull()
            except Truncated as truncated:
                self._pool.post(partial(self._take, truncated))
                return
            assert not isinstance(piece, Pending)
            self._pool.post(partial(self._take, piece))
            if piece is None:
                return
            made += len(piece)
        self._pool.post(self._pause)

    def _take(self, piece: bytes | Truncated | None) -> None:
        if self._asked is None:
            self._pieces.append(piece)
        else:
            asked, self._asked = self._asked, None
            asked.finish(piece)

    def _pause(self) -> None:
        self._in_burst = False
        if self._asked is not None:
            self._make_more()

    def _make_more(self) -> None:
        if not self._in_burst and not self._closed:
            self._in_burst = True
            self._pool.run_on(self._runner, self.burst)
