"""The signals of a worker, caught in this process."""

import faulthandler
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from select import select
from threading import Thread, get_ident
from types import FrameType

import pytest

from prefork.worker.signals import CAUGHT, DUMPING, IGNORED, OBEYED, Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    faulthandler.unregister(DUMPING)  # else it remembers that of another test, and does nothing
    saved = {number: signal.getsignal(number) for number in CAUGHT}
    with closing(Signals(2)) as caught:
        yield caught
    for number, action in saved.items():
        signal.signal(number, action)


def is_readable(signals: Signals) -> bool:
    return bool(select([signals], [], [], 0)[0])


def test_the_one_that_is_obeyed_can_be_waited_for_and_others_say_nothing(signals: Signals) -> None:
    for number in IGNORED:
        os.kill(os.getpid(), number)
    assert not signals.clear()
    os.kill(os.getpid(), OBEYED)
    assert is_readable(signals)
    assert signals.clear()
    assert not is_readable(signals)


def test_the_loop_is_woken_though_another_thread_is_given_it(signals: Signals) -> None:
    seen = []

    def be_given_it() -> None:
        signal.pthread_kill(get_ident(), OBEYED)
        seen.append(is_readable(signals))  # before this thread, where handlers run, does anything

    thread = Thread(target=be_given_it)
    thread.start()
    thread.join()
    assert seen == [True]
    assert signals.clear()


def test_the_loop_is_woken_though_the_application_has_taken_what_wakes_it(signals: Signals) -> None:
    signal.set_wakeup_fd(-1)
    os.kill(os.getpid(), OBEYED)
    assert is_readable(signals)
    assert signals.clear()


def test_one_that_the_application_catches_wakes_the_loop_for_nothing(signals: Signals) -> None:
    came = []
    with caught(lambda number, _frame: came.append(number)):
        for _ in range(1000):  # more than the descriptor holds
            os.kill(os.getpid(), signal.SIGALRM)
        assert not signals.clear()
        for _ in range(1000):
            os.kill(os.getpid(), signal.SIGALRM)
        os.kill(os.getpid(), OBEYED)
        assert signals.clear()
        assert not signals.clear()
    assert set(came) == {signal.SIGALRM}  # two that come at once are one (signal(7))


def test_a_process_that_the_application_forks_wakes_only_itself(signals: Signals) -> None:
    with caught(lambda *_: None):
        signals.give_back()
        os.kill(os.getpid(), signal.SIGALRM)
    assert signal.set_wakeup_fd(-1) == -1


def test_a_process_that_the_application_forks_keeps_what_the_application_is_woken_by(signals: Signals) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signals.give_back()
    assert signal.set_wakeup_fd(-1) == writer
    os.close(reader)
    os.close(writer)


@contextmanager
def caught(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Have the application catch a signal."""
    before = signal.signal(signal.SIGALRM, handler)
    yield
    signal.signal(signal.SIGALRM, before)


def test_what_is_held_back_comes_when_it_is_released(signals: Signals) -> None:
    signals.hold_back()
    signal.pthread_kill(get_ident(), OBEYED)
    assert not is_readable(signals)
    signals.release()
    assert is_readable(signals)


def test_what_is_given_back_is_the_systems_but_what_the_application_has_taken(signals: Signals) -> None:
    def taken(*_: object) -> None:
        pass

    signal.signal(signal.SIGUSR1, taken)
    assert is_caught(DUMPING)
    signals.give_back()
    assert not is_caught(DUMPING)
    assert {number: signal.getsignal(number) for number in CAUGHT} == {
        number: taken if number is signal.SIGUSR1 else signal.SIG_DFL for number in CAUGHT
    }


def is_caught(number: signal.Signals) -> bool:
    """Tell whether this process catches it, be it in Python or in C (proc_pid_status(5))."""
    (mask,) = re.findall(r"^SigCgt:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)
