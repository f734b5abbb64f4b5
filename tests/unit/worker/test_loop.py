"""The loop, over real descriptors: who is called, when, and who no more."""

import os
import select
import socket
from collections.abc import Iterator
from errno import ENOSPC
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from prefork.worker.loop import READABLE, ROOM_PAUSE, WRITABLE, Loop
from tests.unit.descriptors import open_descriptors

Pipe = tuple[int, int]


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def turn(loop: Loop) -> None:
    """Run one turn, without waiting."""
    loop.running = True
    loop.after_turn.append(lambda: setattr(loop, "running", False))
    for moment in (loop.now, loop.now + 3600):
        loop.call_at(moment, lambda: None)
    loop.run()
    loop.after_turn.pop()


def test_a_handler_is_called_with_what_its_descriptor_is_ready_for(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    called: list[int] = []
    ours, theirs = pair
    loop.watch(ours.fileno(), READABLE, called.append)
    turn(loop)
    assert called == []
    theirs.send(b"x")
    turn(loop)
    turn(loop)
    assert called == [READABLE, READABLE]
    theirs.close()
    ours.recv(1)
    turn(loop)
    assert called[2] & (READABLE | select.EPOLLHUP) == READABLE | select.EPOLLHUP


def test_a_descriptor_may_wait_for_something_else_with_another_handler(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    called: list[str] = []
    loop.watch(pair[0].fileno(), READABLE, lambda _events: called.append("read"))
    loop.change(pair[0].fileno(), WRITABLE, lambda _events: called.append("write"))
    turn(loop)
    assert called == ["write"]
    loop.change(pair[0].fileno(), READABLE, lambda _events: called.append("read"))
    turn(loop)
    assert called == ["write"]


def test_another_handler_may_be_called_for_the_same(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    called: list[str] = []
    pair[1].send(b"x")
    loop.watch(pair[0].fileno(), READABLE, lambda _events: called.append("first"))
    loop.hand_to(pair[0].fileno(), lambda _events: called.append("second"))
    turn(loop)
    assert called == ["second"]


def test_it_knows_its_own_descriptor_and_those_that_it_watches(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    fds = [each.fileno() for each in pair]
    for fd in fds:
        loop.watch(fd, READABLE, lambda _events: None)
    (own, *watched) = loop.descriptors()
    assert (own, sorted(watched)) == (loop._epoll.fileno(), sorted(fds))
    loop.forget(fds[0])
    assert loop.descriptors() == [own, fds[1]]


def test_a_forgotten_descriptor_is_not_watched_though_a_copy_is_open(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    called: list[int] = []
    loop.watch(pair[0].fileno(), READABLE, called.append)
    with pair[0].dup():
        loop.forget(pair[0].fileno())
        pair[0].close()
        pair[1].send(b"x")
        turn(loop)
        assert called == []
        assert loop._epoll.poll(0) == []


def test_a_number_that_was_forgotten_may_be_watched_again_from_the_next_turn_on(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    called: list[int] = []
    loop.watch(pair[0].fileno(), READABLE, called.append)
    loop.forget(pair[0].fileno())
    loop.watch(pair[0].fileno(), READABLE, called.append)
    pair[1].send(b"x")
    turn(loop)
    assert called == [READABLE]


def test_one_handler_may_close_the_descriptor_of_another_that_is_ready_too(loop: Loop) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def close_other(number: int, _events: int) -> None:
        called.append(number)
        if len(called) == 1:
            loop.forget(pairs[1 - number][0].fileno())
            pairs[1 - number][0].close()

    for number, (ours, theirs) in enumerate(pairs):
        theirs.send(b"x")
        loop.watch(ours.fileno(), READABLE, partial(close_other, number))
    turn(loop)
    turn(loop)
    assert called == [called[0]] * 2
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_news_of_a_descriptor_is_not_told_to_whoever_gets_its_number_in_the_same_turn(loop: Loop) -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    *waiting, (spare, _) = pairs
    called: list[int] = []
    taken_over: list[int] = []

    def take_over_other(number: int, _events: int) -> None:
        called.append(number)
        other = waiting[1 - number][0]
        loop.forget(other.fileno())
        os.dup2(spare.fileno(), other.fileno())
        loop.watch(other.fileno(), READABLE, taken_over.append)

    for number, (ours, theirs) in enumerate(waiting):
        theirs.send(b"x")
        loop.watch(ours.fileno(), READABLE, partial(take_over_other, number))
    turn(loop)
    assert (len(called), taken_over) == (1, [])
    for each in pairs:
        for end in each:
            end.close()


def test_what_is_due_comes_before_the_handlers(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    seen: list[str] = []
    pair[1].send(b"x")
    loop.watch(pair[0].fileno(), READABLE, lambda _events: seen.append("handler"))
    loop.call_at(loop.now + 3600, lambda: seen.append("late"))
    loop.call_at(loop.now, lambda: seen.append("second"))
    loop.call_at(loop.now - 1, lambda: seen.append("first"))
    loop.after_turn.append(lambda: seen.append("after"))
    turn(loop)
    turn(loop)
    assert seen == ["first", "second", "handler", "after", "handler", "after"]


def test_what_is_to_be_last_is_called_once_after_the_handlers(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    seen: list[str] = []
    pair[1].send(b"x")
    loop.watch(pair[0].fileno(), READABLE, lambda _events: seen.append("handler"))
    loop.call_at(loop.now, lambda: loop.call_last(lambda: seen.append("last")))
    loop.after_turn.append(lambda: seen.append("after"))
    turn(loop)
    turn(loop)
    assert seen == ["handler", "last", "after", "handler", "after"]


def test_what_is_called_later_may_call_again_though_nothing_happens(loop: Loop) -> None:
    times: list[float] = []

    def tick() -> None:
        times.append(loop.now)
        loop.running = len(times) < 3
        loop.call_at(loop.now + 0.01, tick)

    loop.call_at(loop.now, tick)
    loop.run()
    assert 0.01 <= times[1] - times[0] < 5
    assert times[2] - times[1] >= 0.01


class Waits:
    """Notes how long a loop waits at most."""

    def __init__(self, loop: Loop) -> None:
        self.seconds: list[float] = []
        self._epoll = loop._epoll
        loop._epoll = self  # type: ignore[assignment]  # the real one tells nobody
        self.register, self.unregister, self.close = self._epoll.register, self._epoll.unregister, self._epoll.close

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        self.seconds.append(timeout)
        return self._epoll.poll(timeout, most)


def test_what_became_due_in_a_long_turn_is_not_waited_for(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    waits = Waits(loop)

    def be_long(_events: int) -> None:
        loop.forget(pair[0].fileno())
        due = monotonic() + 0.01
        loop.call_at(due, lambda: setattr(loop, "running", False))
        while monotonic() <= due:
            pass

    pair[1].send(b"x")
    loop.watch(pair[0].fileno(), READABLE, be_long)
    loop.call_at(loop.now + 3600, lambda: None)
    loop.run()
    assert len(waits.seconds) == 2
    assert (waits.seconds[0] > 3000, waits.seconds[1]) == (True, 0)


def test_a_closed_loop_leaves_no_descriptor() -> None:
    before = open_descriptors()
    Loop().close()
    assert open_descriptors() == before


class Kernel:
    """Watches, for a loop, no more new descriptors than there is `room` for."""

    def __init__(self, loop: Loop) -> None:
        self.room = 0
        self._epoll = loop._epoll
        loop._epoll = self  # type: ignore[assignment]  # what it would take of the real one is the whole machine's
        self.poll, self.modify, self.unregister = self._epoll.poll, self._epoll.modify, self._epoll.unregister
        self.fileno, self.close = self._epoll.fileno, self._epoll.close

    def register(self, fd: int, events: int) -> None:
        if not self.room:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        self.room -= 1
        self._epoll.register(fd, events)


def note(called: list[int], number: int, _events: int) -> None:
    called.append(number)


def later(loop: Loop) -> None:
    """Run turns until a moment after that in which the loop asks for room again."""
    turn(loop)
    over: list[bool] = []
    loop.call_at(loop.now + 2 * ROOM_PAUSE, lambda: over.append(True))
    loop.after_turn.append(lambda: setattr(loop, "running", not over))
    loop.running = True
    loop.run()
    loop.after_turn.pop()


def test_what_there_is_no_room_to_watch_is_watched_when_there_is(loop: Loop) -> None:
    kernel = Kernel(loop)
    pairs = [socket.socketpair() for _ in range(3)]
    called: list[int] = []
    for number, (ours, theirs) in enumerate(pairs):
        theirs.send(b"x")
        loop.watch(ours.fileno(), READABLE, partial(note, called, number))
    assert len(loop._timers) == 1, "each of them would ask for itself"
    later(loop)
    assert (called, loop.unwatched) == ([], 3)
    for room, watched in ((1, {0}), (2, {0, 1, 2})):
        kernel.room = room
        later(loop)
        called.clear()
        turn(loop)
        assert (set(called), loop.unwatched) == (watched, 3 - len(watched))
    for ours, theirs in pairs:
        loop.forget(ours.fileno())
        ours.close()
        theirs.close()


def test_what_is_not_watched_yet_may_be_changed_and_forgotten(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    kernel = Kernel(loop)
    called: list[str] = []
    ours, theirs = pair
    loop.watch(ours.fileno(), READABLE, lambda _events: called.append("read"))
    loop.change(ours.fileno(), WRITABLE, lambda _events: called.append("write"))
    loop.watch(theirs.fileno(), WRITABLE, lambda _events: called.append("forgotten"))
    loop.forget(theirs.fileno())
    kernel.room = 2
    later(loop)
    turn(loop)
    assert (set(called), loop.unwatched, kernel.room) == ({"write"}, 0, 1)


def test_what_cannot_be_watched_at_all_is_refused(loop: Loop, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(PermissionError):
        loop.watch(file.fileno(), READABLE, lambda _events: None)
