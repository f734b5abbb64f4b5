"""Threads that call an application, beside a loop that is turned by the test.

What holds for any of it: what is decided is decided in the loop's thread; an answer is closed once, by the thread that
began it; no more is made of a stream than its client has taken, and a burst.
"""

import gc
import select
import threading
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from time import monotonic

import pytest

from prefork.apps import pool as pool_module
from prefork.apps.pool import BURST, BUSY, Pool, Runner
from prefork.http.answers import AnswerHead, File, Pending, Stream, Truncated, Whole
from prefork.http.content import Content
from prefork.http.messages import Peer, Request, Response

PEER = Peer(b"127.0.0.1")
REQUEST = Request(b"GET", b"/", 1, b"")
HEAD = AnswerHead(200, b"")
LIMIT = 10.0  # seconds


class Gate:
    """An application that waits until the test lets each call go on."""

    def __init__(self) -> None:
        self.entered: SimpleQueue[str] = SimpleQueue()
        self._go_on = threading.Semaphore(0)

    def __call__(self, _request: Request, _peer: Peer, _content: Content | None) -> Whole | Stream:
        self.entered.put(threading.current_thread().name)
        assert self._go_on.acquire(timeout=LIMIT)
        return Whole(HEAD, b"%d" % threading.get_ident())

    def open(self, count: int = 1) -> None:
        self._go_on.release(count)


class Kept:
    """The content of a request."""

    def __init__(self) -> None:
        self.closed = 0

    def write(self, data: bytes) -> None: ...

    def kept(self) -> bytes | None: ...

    def close(self) -> None:
        self.closed += 1


class Stage:
    """A pool, and the turns of its loop."""

    def __init__(self, call: Callable[[Request, Peer, Content | None], Whole | Stream], size: int, most: int) -> None:
        self.pool = Pool(call, size, most)

    def ask(self, content: Content | None = None) -> Pending:
        pending = self.pool.respond(REQUEST, PEER, content)
        assert isinstance(pending, Pending)
        return pending

    def turn_until(self, condition: Callable[[], object]) -> None:
        """Turn the loop until something is so."""
        deadline = monotonic() + LIMIT
        while not condition():
            left = deadline - monotonic()
            assert left > 0, "it never was so"
            if select.select([self.pool], [], [], min(left, 0.1))[0]:
                self.pool.on_readable(0)

    def answer(self, pending: Pending) -> Whole | Stream:
        self.turn_until(lambda: pending.is_done)
        return pending.answer()

    def piece(self, stream: Stream) -> bytes | None:
        """Return the next piece of a stream, though it comes later."""
        piece = stream.pull()
        if isinstance(piece, Pending):
            pending = piece
            self.turn_until(lambda: pending.is_done)
            return pending.piece()
        return piece


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open(100)


Build = Callable[..., Stage]


@pytest.fixture
def stage() -> Iterator[Build]:
    stages: list[Stage] = []

    def build(call: Callable[[Request, Peer, Content | None], Whole | Stream], size: int = 2, most: int = 10) -> Stage:
        stages.append(Stage(call, size, most))
        return stages[-1]

    yield build
    for each in stages:  # their descriptors stay open: a thread whose last task is done may yet have to wake the loop
        each.turn_until(lambda each=each: not each.pool.is_busy)  # type: ignore[misc]  # it can't be inferred


# Who is called when


def test_as_many_are_called_at_a_time_as_there_are_threads_and_the_others_wait(stage: Build, gate: Gate) -> None:
    threads = stage(gate, 2)
    asked = [threads.ask() for _ in range(5)]
    assert [gate.entered.get(timeout=LIMIT) for _ in range(2)] == ["application"] * 2
    assert [each.has_begun for each in asked] == [True, True, False, False, False]
    assert gate.entered.empty()
    gate.open(5)
    answers = {threads.answer(each) for each in asked}
    assert len({each.body for each in answers if isinstance(each, Whole)}) == 2
    assert all(each.has_begun for each in asked)


def test_threads_are_made_when_they_are_needed_and_kept(stage: Build) -> None:
    threads = stage(lambda _request, _peer, _content: Whole(HEAD, b"%d" % threading.get_ident()), 50)
    seen = set()
    for _ in range(5):
        answer = threads.answer(threads.ask())
        threads.turn_until(lambda: not threads.pool.is_busy)
        assert isinstance(answer, Whole)
        seen.add(answer.body)
    assert len(seen) == 1


def test_whoever_waits_is_called_in_the_order_of_asking(stage: Build, gate: Gate) -> None:
    threads = stage(gate, 1)
    done: list[int] = []
    for number in range(4):
        threads.ask().on_done = lambda number=number: done.append(number)  # type: ignore[misc]  # it can't be inferred
    gate.open(4)
    threads.turn_until(lambda: len(done) == 4)
    assert done == [0, 1, 2, 3]


def test_beyond_those_that_may_wait_others_are_told_at_once(stage: Build, gate: Gate) -> None:
    threads = stage(gate, 1, 2)
    asked = [threads.ask() for _ in range(3)]
    content = Kept()
    told: list[tuple[int, str, Peer]] = []
    threads.pool.on_refused = lambda *refused: told.append(refused)
    answer = threads.pool.respond(REQUEST, PEER, content)
    assert isinstance(answer, Response)
    assert (answer, answer.status, content.closed) == (BUSY, 503, 1)
    assert told == [(503, "too many requests wait for the application", PEER)]
    assert threads.pool.respond(REQUEST, PEER, None) is BUSY
    gate.open(3)
    threads.turn_until(lambda: all(each.is_done for each in asked))


def test_where_nobody_may_wait_a_free_thread_still_answers(stage: Build, gate: Gate) -> None:
    threads = stage(gate, 1, 0)
    first = threads.ask()
    assert threads.pool.respond(REQUEST, PEER, None) is BUSY
    gate.open(2)
    threads.turn_until(lambda: first.is_done and not threads.pool.is_busy)
    threads.answer(threads.ask())


def test_who_gives_up_waiting_leaves_its_place_to_others_and_is_never_called(stage: Build, gate: Gate) -> None:
    threads = stage(gate, 1, 1)
    first, content = threads.ask(), Kept()
    threads.ask(content).abandon()
    assert content.closed == 1
    third = threads.ask()
    gate.open(2)
    threads.turn_until(lambda: third.is_done and first.is_done)
    assert [gate.entered.get(timeout=LIMIT) for _ in range(2)] == ["application"] * 2
    assert gate.entered.empty()


def test_who_gives_up_when_it_is_being_answered_is_not_told(stage: Build, gate: Gate) -> None:
    threads = stage(gate, 1)
    pending, content = threads.ask(), Kept()
    waiting = threads.ask(content)
    gate.entered.get(timeout=LIMIT)
    gate.open()
    threads.turn_until(lambda: waiting.has_begun)
    for each in pending, waiting:
        each.on_done = lambda: pytest.fail("it is told")
        each.abandon()
    assert content.closed == 0  # the application's now
    gate.open()
    threads.turn_until(lambda: not threads.pool.is_busy)
    assert not waiting.is_done


@pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "given up"])
def test_whoever_has_waited_is_let_go_of_without_the_garbage_collector(
    stage: Build, gate: Gate, *, is_answered: bool
) -> None:
    threads = stage(gate, 1)
    first, content = threads.ask(), Kept()
    waiting = threads.ask(content)
    kept = weakref.ref(content)
    gc.disable()
    try:
        if not is_answered:
            waiting.abandon()
        gate.open(2)
        threads.turn_until(lambda: first.is_done and not threads.pool.is_busy)
        assert waiting.is_done is is_answered
        del waiting, content
        assert kept() is None
    finally:
        gc.enable()


@pytest.fixture
def refuse_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what has the system refuse threads from then on."""

    def refuse(*_args: object) -> Runner:
        raise RuntimeError("can't start new thread")

    return lambda: monkeypatch.setattr(pool_module, "Runner", refuse)


def test_where_the_system_has_no_thread_requests_wait_for_one(
    stage: Build, gate: Gate, refuse_threads: Callable[[], None]
) -> None:
    threads = stage(gate, 2)
    first = threads.ask()
    refuse_threads()
    second = threads.ask()
    assert not second.has_begun
    gate.open(2)
    threads.turn_until(lambda: first.is_done and second.is_done)


def test_where_the_system_has_none_at_all_requests_are_refused_as_nobody_would_take_them(
    stage: Build, gate: Gate, refuse_threads: Callable[[], None]
) -> None:
    threads, content = stage(gate, 2), Kept()
    told: list[tuple[int, str, Peer]] = []
    threads.pool.on_refused = lambda *refused: told.append(refused)
    refuse_threads()
    assert threads.pool.respond(REQUEST, PEER, content) is BUSY
    assert content.closed == 1
    assert told == [(503, "the system has no thread for the application", PEER)]


def test_it_wakes_for_what_is_posted_once_and_a_wake_without_a_reason_does_nothing(stage: Build, gate: Gate) -> None:
    pool = stage(gate).pool
    pool.on_readable(0)
    pool.post(lambda: None)
    pool.post(lambda: None)
    assert select.select([pool], [], [], 0)[0]
    pool.on_readable(0)
    assert not select.select([pool], [], [], 0)[0]


# Streams


class Source:
    """A stream whose pieces are as large as the test says, and which notes by whom it is pulled and closed."""

    def __init__(self, *pieces: bytes | Truncated, file: File | None = None) -> None:
        self.threads: set[int] = set()
        self.pulled = self.closed = 0
        self._pieces = iter(pieces)
        self._file = file

    def __call__(self, _request: Request, _peer: Peer, _content: Content | None) -> Stream:
        self.threads.add(threading.get_ident())
        return Stream(HEAD, self._pull, self._close, self._file)

    def _pull(self) -> bytes | None:
        self.threads.add(threading.get_ident())
        self.pulled += 1
        piece = next(self._pieces, None)
        if isinstance(piece, Truncated):
            raise piece
        return piece

    def _close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed += 1


def streamed(threads: Stage) -> Stream:
    answer = threads.answer(threads.ask())
    assert isinstance(answer, Stream)
    return answer


@pytest.mark.parametrize("size", [1, 1000, BURST])
def test_all_pieces_come_in_their_order_from_one_thread_that_closes_the_answer(stage: Build, size: int) -> None:
    pieces = [bytes([65 + number]) * size for number in range(10)]
    source = Source(*pieces)
    threads = stage(source, 5)
    stream = streamed(threads)
    found = []
    while (piece := threads.piece(stream)) is not None:
        found.append(piece)
    stream.close()
    threads.turn_until(lambda: source.closed == 1)
    assert found == pieces
    assert (len(source.threads), threading.get_ident() in source.threads) == (1, False)


def test_while_nothing_is_taken_no_more_than_a_burst_is_made(stage: Build) -> None:
    source = Source(*[b"x" * 1000] * 1000)
    threads = stage(source)
    stream = streamed(threads)
    threads.turn_until(lambda: not threads.pool.is_busy)
    made = source.pulled
    assert BURST / 1000 <= made <= BURST / 1000 + 1
    for _ in range(made):
        assert threads.piece(stream)
    assert source.pulled == made
    assert threads.piece(stream)
    threads.turn_until(lambda: not threads.pool.is_busy)
    assert made < source.pulled <= 2 * made
    stream.close()


def test_while_a_client_is_slow_its_thread_answers_others(stage: Build) -> None:
    source, whole = Source(*[b"x" * 1000] * 1000), Whole(HEAD, b"")
    threads = stage(lambda *asked: source(*asked) if not source.threads else whole, 1)
    stream = streamed(threads)
    assert threads.answer(threads.ask()) is whole
    stream.close()
    threads.turn_until(lambda: source.closed == 1)


def interrupted(stage: Build, gate: Gate) -> tuple[Source, Stage, Stream, Pending]:
    """Return a stream of which the first burst was taken, and the other request that its only thread is at."""
    source = Source(b"x" * BURST, b"rest")
    threads = stage(lambda *asked: source(*asked) if not source.threads else gate(*asked), 1)
    stream = streamed(threads)
    assert threads.piece(stream)
    threads.turn_until(lambda: not threads.pool.is_busy)
    return source, threads, stream, threads.ask()


def test_a_stream_goes_on_after_its_thread_is_done_with_another_request(stage: Build, gate: Gate) -> None:
    _, threads, stream, other = interrupted(stage, gate)
    piece = stream.pull()
    assert isinstance(piece, Pending)
    stream_closed_too = threads.ask()
    gate.open(2)
    threads.turn_until(lambda: piece.is_done)
    assert (other.is_done, piece.piece()) == (True, b"rest")
    threads.turn_until(lambda: stream_closed_too.is_done)
    stream.close()


@pytest.mark.parametrize("is_made", [False, True])
def test_an_answer_that_can_not_go_on_tells_when_that_point_is_reached(stage: Build, *, is_made: bool) -> None:
    source = Source(b"one", Truncated())
    threads = stage(source)
    stream = streamed(threads)
    if is_made:
        threads.turn_until(lambda: not threads.pool.is_busy)
    assert threads.piece(stream) == b"one"
    with pytest.raises(Truncated):
        threads.piece(stream)
    stream.close()
    threads.turn_until(lambda: source.closed == 1)


def test_who_asks_for_more_than_a_burst_before_it_ends_gets_it(stage: Build) -> None:
    go_on, second = threading.Semaphore(0), list[bytes | Pending | None]()

    def pieces() -> Iterator[bytes]:
        assert go_on.acquire(timeout=LIMIT)
        yield b"x" * BURST
        yield b"rest"

    made = pieces()
    threads = stage(lambda *_asked: Stream(HEAD, lambda: next(made, None), bool))
    stream = streamed(threads)
    first = stream.pull()
    assert isinstance(first, Pending)
    first.on_done = lambda: second.append(stream.pull())
    go_on.release()
    threads.turn_until(lambda: second)
    [pending] = second
    assert isinstance(pending, Pending)
    threads.turn_until(lambda: pending.is_done)
    assert pending.piece() == b"rest"
    stream.close()


def test_a_stream_that_is_closed_in_a_burst_ends_and_is_closed_by_its_thread(stage: Build) -> None:
    source = Source(*[b"x"] * BURST)
    threads = stage(source)
    stream = streamed(threads)
    stream.close()
    threads.turn_until(lambda: source.closed == 1)
    assert source.pulled <= BURST
    assert len(source.threads) == 1


def test_a_stream_that_is_closed_while_a_piece_is_made_is_not_pulled_again(stage: Build) -> None:
    go_on, calls = threading.Semaphore(0), list[str]()

    def pull() -> bytes:
        calls.append("pull")
        assert go_on.acquire(timeout=LIMIT)
        return b"x"

    threads = stage(lambda *_asked: Stream(HEAD, pull, lambda: calls.append("close")))
    stream = streamed(threads)
    assert isinstance(stream.pull(), Pending)
    threads.turn_until(lambda: calls)
    stream.close()
    go_on.release(10)
    threads.turn_until(lambda: not threads.pool.is_busy)
    assert calls == ["pull", "close"]


def test_a_stream_that_is_closed_before_its_thread_goes_on_is_not_pulled_again(stage: Build, gate: Gate) -> None:
    source, threads, stream, _ = interrupted(stage, gate)
    assert isinstance(stream.pull(), Pending)
    stream.close()
    gate.open()
    threads.turn_until(lambda: not threads.pool.is_busy)
    assert (source.pulled, source.closed) == (1, 1)


def test_what_is_taken_in_a_burst_asks_for_no_further_one(stage: Build) -> None:
    go_on, pulled = threading.Semaphore(0), list[int]()

    def pull() -> bytes:
        assert go_on.acquire(timeout=LIMIT)
        pulled.append(1)
        return b"x" * (BURST // 8)

    threads = stage(lambda *_asked: Stream(HEAD, pull, bool))
    stream = streamed(threads)
    for burst in (1, 2):
        for _ in range(7):
            go_on.release()
            assert threads.piece(stream)
        go_on.release(100)
        threads.turn_until(lambda: not threads.pool.is_busy)
        assert len(pulled) == 8 * burst
        assert threads.piece(stream)
        while go_on.acquire(blocking=False):
            pass
    stream.close()


def test_a_stream_for_a_client_that_is_gone_is_closed(stage: Build, gate: Gate) -> None:
    source = Source(b"one")

    def slow(*asked: object) -> Stream:
        gate(*asked)  # type: ignore[arg-type]  # they are passed on
        return source(*asked)  # type: ignore[arg-type]  # they are passed on

    threads = stage(slow)
    threads.ask().abandon()
    gate.open()
    threads.turn_until(lambda: source.closed == 1)


def test_a_file_stays_open_until_its_thread_is_told_to_close_it(stage: Build) -> None:
    source = Source(file=File(0, 0, 5))
    threads = stage(source)
    stream = streamed(threads)
    assert stream.file is not None
    assert source.closed == 0
    threads.turn_until(lambda: not threads.pool.is_busy)
    stream.close()
    assert threads.pool.is_busy
    threads.turn_until(lambda: source.closed == 1)
    assert len(source.threads) == 1


def test_what_has_kept_a_thread_for_the_longest_time_is_told_until_it_is_done(gate: Gate) -> None:
    stage = Stage(gate, 2, 1)
    assert stage.pool.longest == (b"", 0.0)
    before = monotonic()
    first = stage.pool.respond(Request(b"GET", b"/first", 1, b"GET /first"), PEER, None)
    gate.entered.get(timeout=LIMIT)
    between = monotonic()
    second = stage.pool.respond(Request(b"GET", b"/second", 1, b"GET /second"), PEER, None)
    gate.entered.get(timeout=LIMIT)
    head, since = stage.pool.longest
    assert head == b"GET /first"
    assert before <= since <= between
    gate.open(2)
    assert isinstance(first, Pending)
    assert isinstance(second, Pending)
    stage.turn_until(lambda: first.is_done and second.is_done and not stage.pool.is_busy)
    assert stage.pool.longest == (b"", 0.0)


def test_a_stream_keeps_its_thread_for_as_long_as_it_makes_pieces() -> None:
    entered, go_on = SimpleQueue[None](), threading.Semaphore(0)
    pieces = [b"x" * BURST, None]

    def pull() -> bytes | None:
        entered.put(None)
        assert go_on.acquire(timeout=LIMIT)
        return pieces.pop(0)

    stage = Stage(lambda _request, _peer, _content: Stream(HEAD, pull, lambda: None), 1, 1)
    pending = stage.pool.respond(Request(b"GET", b"/", 1, b"GET /stream"), PEER, None)
    assert isinstance(pending, Pending)
    stream = stage.answer(pending)
    assert isinstance(stream, Stream)
    for piece in pieces[:]:
        asked = stream.pull()
        assert isinstance(asked, Pending)
        entered.get(timeout=LIMIT)
        assert stage.pool.longest[0] == b"GET /stream"
        go_on.release()
        stage.turn_until(lambda: not stage.pool.is_busy)
        assert (asked.piece(), stage.pool.longest) == (piece, (b"", 0.0))
