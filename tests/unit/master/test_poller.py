"""What a turn of the poller calls, and what it doesn't."""

import errno
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

import pytest

from prefork.master import poller as module
from prefork.master.poller import ENDED, WRITABLE, Poller


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller()
    yield poller
    poller.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.mark.parametrize("comes_before", [True, False])
def test_a_signal_that_comes_when_one_poller_is_done_waits_for_the_next(poller: Poller, *, comes_before: bool) -> None:
    told: list[int] = []
    poller.catch([signal.SIGUSR1])
    if comes_before:
        signal.raise_signal(signal.SIGUSR1)
    poller.block_signals()
    if not comes_before:
        signal.raise_signal(signal.SIGUSR1)
    following = Poller()
    following.on_signal = lambda number, _count: told.append(number)
    following.catch([signal.SIGUSR1])
    following.turn()
    following.close()
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    assert told == [signal.SIGUSR1]


class Alarm:
    """Something that is due once."""

    def __init__(self, deadline: float) -> None:
        self.deadline: float | None = deadline
        self.rang_at = 0.0

    def next_deadline(self) -> float | None:
        return self.deadline

    def expire(self, now: float) -> None:
        if self.deadline is not None and self.deadline <= now:
            self.deadline, self.rang_at = None, now


def test_a_turn_ends_at_the_earliest_deadline(poller: Poller) -> None:
    soon, later = Alarm(monotonic() + 0.01), Alarm(monotonic() + 60)
    poller.keep_time(later)
    poller.keep_time(soon)
    turns = 0
    while not soon.rang_at:
        poller.turn()
        turns += 1
    assert turns < 5  # and not as many as there can be until then
    assert later.deadline is not None


def test_a_deadline_that_has_passed_is_not_waited_for(poller: Poller) -> None:
    alarm = Alarm(monotonic() - 60)
    poller.keep_time(alarm)
    poller.turn()
    assert alarm.rang_at


def test_a_descriptor_that_is_watched_is_so_until_it_is_forgotten(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    calls: list[str] = []
    one, other = pair
    other.send(b"x")
    poller.watch(one.fileno(), lambda: calls.append("readable"))
    for _ in range(3):
        poller.turn()
    assert (calls, poller.next_deadline()) == (["readable"] * 3, None)


def test_what_is_said_last_about_a_descriptor_holds(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    calls: list[str] = []
    one, other = pair
    poller.watch(one.fileno(), lambda: calls.append("too early"))
    poller.watch(one.fileno(), lambda: calls.append("writable"), WRITABLE)
    poller.turn()
    poller.watch(one.fileno(), lambda: calls.append("readable"))
    other.send(b"x")
    poller.turn()
    poller.watch(one.fileno(), lambda: calls.append("ended"), ENDED)
    poller.keep_time(Alarm(monotonic()))
    poller.turn()
    assert calls == ["writable", "readable"]
    other.close()
    poller.turn()
    assert calls == ["writable", "readable", "ended"]


def test_who_is_forgotten_in_a_turn_is_not_called_in_it_nor_who_takes_the_number(poller: Poller) -> None:
    """Two are readable at once; whichever comes first closes both, and opens others of the same numbers."""
    calls: list[str] = []
    pairs = [socket.socketpair() for _ in range(2)]
    successors: list[tuple[socket.socket, socket.socket]] = []

    def replace_all() -> None:
        calls.append("first")
        for one, other in pairs:
            poller.forget(one.fileno())
            one.close()
            other.close()
        successors.extend(socket.socketpair() for _ in pairs)
        for pair in successors:
            for each in pair:
                poller.watch(each.fileno(), lambda: calls.append("successor"))

    for one, other in pairs:
        other.send(b"x")
        poller.watch(one.fileno(), replace_all)
    poller.turn()
    for pair in successors:
        for each in pair:
            each.close()
    assert calls == ["first"]


def test_forgetting_twice_is_no_harm(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    poller.watch(pair[0].fileno(), lambda: None)
    poller.forget(pair[0].fileno())
    poller.forget(pair[0].fileno())


@pytest.fixture
def refused(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The numbers of the errors that the poller has told, which it waits for a moment only."""
    numbers: list[int | None] = []
    poller.on_failure = lambda error: numbers.append(error.errno)
    monkeypatch.setattr(module, "PAUSE", 0.2)
    return numbers


def test_who_fails_is_told_and_called_again_later_while_the_others_are_called_at_once(
    poller: Poller, pair: tuple[socket.socket, socket.socket], refused: list[int | None]
) -> None:
    calls: list[str] = []
    one, other = pair

    def fail_once() -> None:
        calls.append("fails")
        if len(calls) == 1:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        poller.forget(one.fileno())

    poller.watch(one.fileno(), fail_once)
    other.send(b"x")
    poller.turn()
    poller.watch(other.fileno(), lambda: calls.append("writable"), WRITABLE)
    poller.turn()
    assert (calls, refused) == (["fails", "writable"], [errno.ENOMEM])
    poller.forget(other.fileno())
    while len(calls) < 3:
        poller.turn()
    assert (calls[-1], refused) == ("fails", [errno.ENOMEM])


def test_what_the_kernel_refuses_to_watch_is_watched_as_soon_as_it_can_be(
    poller: Poller, pair: tuple[socket.socket, socket.socket], refused: list[int | None]
) -> None:
    """A file can't be watched, until its number is that of a socket."""
    calls: list[str] = []
    one, other = pair
    other.send(b"x")
    fd = os.open(__file__, os.O_RDONLY)
    poller.watch(fd, lambda: calls.append("readable"))
    while len(refused) < 2:
        poller.turn()
    os.dup2(one.fileno(), fd, inheritable=False)
    while not calls:
        poller.turn()
    poller.forget(fd)
    os.close(fd)
    assert set(refused) == {errno.EPERM}


def test_what_pauses_can_be_forgotten_and_watched_anew(
    poller: Poller, pair: tuple[socket.socket, socket.socket], refused: list[int | None]
) -> None:
    calls: list[str] = []
    one, other = pair
    other.send(b"x")

    def fail() -> None:
        calls.append("fails")
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    poller.watch(one.fileno(), fail)
    poller.turn()
    poller.watch(one.fileno(), lambda: calls.append("anew"))
    poller.turn()
    poller.watch(one.fileno(), fail)
    poller.turn()
    poller.forget(one.fileno())
    assert (calls, len(refused), poller.next_deadline()) == (["fails", "anew", "fails"], 2, None)


@pytest.mark.parametrize("goes_on", [True, False])
def test_who_says_something_else_of_its_descriptor_and_then_fails_is_taken_at_its_word(
    poller: Poller, pair: tuple[socket.socket, socket.socket], refused: list[int | None], *, goes_on: bool
) -> None:
    calls: list[str] = []
    one, other = pair
    other.send(b"x")

    def fail() -> None:
        poller.forget(one.fileno())
        if goes_on:
            poller.watch(one.fileno(), lambda: calls.append("anew"))
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    poller.watch(one.fileno(), fail)
    poller.turn()
    assert (refused, poller.next_deadline()) == ([errno.ENOMEM], None)
    poller.keep_time(Alarm(monotonic()))
    poller.turn()
    assert calls == ["anew"] * goes_on


def test_of_several_pauses_the_first_to_end_is_waited_for(
    poller: Poller, refused: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [os.open(__file__, os.O_RDONLY) for _ in range(2)]  # which can't be watched
    for fd, pause in zip(files, (30.0, 60.0), strict=True):
        monkeypatch.setattr(module, "PAUSE", pause)
        poller.watch(fd, lambda: None)
    deadline = poller.next_deadline()
    assert deadline is not None
    assert deadline < monotonic() + 40
    for fd in files:
        poller.forget(fd)
        os.close(fd)
    assert refused == [errno.EPERM] * 2


def test_a_signal_that_fails_keeps_no_other_from_being_told(poller: Poller, refused: list[int | None]) -> None:
    told: list[int] = []

    def fail(number: int, _count: int) -> None:
        told.append(number)
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    poller.on_signal = fail
    poller.catch([signal.SIGUSR1, signal.SIGUSR2])
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR2)
    poller.turn()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    assert (told, refused) == ([signal.SIGUSR1, signal.SIGUSR2], [errno.ENOMEM, errno.ENOMEM])


def test_a_signal_that_comes_with_one_by_which_all_are_blocked_waits_for_the_next_poller(poller: Poller) -> None:
    told: list[tuple[int, int]] = []

    def block(number: int, count: int) -> None:
        told.append((number, count))
        poller.block_signals()

    poller.on_signal = block
    poller.catch([signal.SIGUSR1, signal.SIGUSR2])
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR2)
    poller.turn()
    assert told == [(signal.SIGUSR1, 1)]
    following = Poller()
    following.on_signal = lambda number, count: told.append((number, count))
    following.catch([signal.SIGUSR1, signal.SIGUSR2])
    following.turn()
    following.close()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    assert told == [(signal.SIGUSR1, 1), (signal.SIGUSR2, 1)]


def test_while_signals_are_held_those_that_have_come_are_told_and_others_stay_pending(poller: Poller) -> None:
    told: list[tuple[int, int]] = []
    poller.on_signal = lambda number, count: told.append((number, count))
    poller.catch([signal.SIGUSR1, signal.SIGUSR2])
    for _ in range(2):
        signal.raise_signal(signal.SIGUSR1)
    with suppress(FileNotFoundError), poller.hold_signals():
        assert told == [(signal.SIGUSR1, 2)]
        signal.raise_signal(signal.SIGUSR2)
        assert signal.sigpending() == {signal.SIGUSR2}
        raise FileNotFoundError(errno.ENOENT, "not there")  # as an execve(2) may fail
    poller.turn()
    with poller.hold_signals():
        pass  # there is none
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    assert told == [(signal.SIGUSR1, 2), (signal.SIGUSR2, 1)]


def test_a_signal_that_has_been_told_wakes_no_other_turn_and_none_is_told_to_one_that_is_closed() -> None:
    poller = Poller()
    poller.catch([signal.SIGUSR1])
    signal.raise_signal(signal.SIGUSR1)
    poller.turn()
    assert poller._epoll.poll(0) == []
    poller.close()
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    assert signal.set_wakeup_fd(-1) == -1
