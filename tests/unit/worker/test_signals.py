"""The signals of a worker, caught in this process."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from select import select
from threading import get_ident

import pytest

from prefork.worker.signals import CAUGHT, IGNORED, OBEYED, Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    saved = {number: signal.getsignal(number) for number in CAUGHT}
    with closing(Signals(2)) as caught:
        yield caught
    for number, action in saved.items():
        signal.signal(number, action)


def is_readable(signals: Signals) -> bool:
    return bool(select([signals], [], [], 0)[0])


def test_the_one_that_is_obeyed_can_be_waited_for_and_others_cannot(signals: Signals) -> None:
    for number in IGNORED:
        os.kill(os.getpid(), number)
    assert not is_readable(signals)
    os.kill(os.getpid(), OBEYED)
    assert is_readable(signals)
    signals.clear()
    assert not is_readable(signals)


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
    signals.give_back()
    assert {number: signal.getsignal(number) for number in CAUGHT} == {
        number: taken if number is signal.SIGUSR1 else signal.SIG_DFL for number in CAUGHT
    }
