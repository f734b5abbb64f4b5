"""What becomes of a start that fails for good; that one is tried again is seen in tests/process/test_developing.py."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from prefork.config.load import Loaded, load
from prefork.config.schema import Config
from prefork.development.retrying import changed, persist
from prefork.development.watching import watching
from prefork.logs.log import Log
from prefork.master.errors import StartError
from prefork.master.poller import Poller
from prefork.master.signals import CAUGHT


@pytest.fixture
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in CAUGHT}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)


@pytest.mark.usefixtures("_signals")
def test_a_signal_that_comes_between_the_wait_and_the_next_start_waits_for_that() -> None:
    told = list[int]()
    with watching(Config(reload=True), None) as watcher:
        assert watcher is not None
        watcher.noticed = True
        assert changed(watcher, Log("master", "error"))
        assert vars(watcher)["noticed"] is False  # else all that fails from now on would be tried again at once
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)  # the master has no other thread, as who runs tests may
    poller = Poller()
    poller.on_signal = lambda number, _count: told.append(number)
    poller.catch(CAUGHT)
    poller.turn()
    poller.close()
    assert signal.SIGTERM in told


def test_what_no_change_mends_ends_it() -> None:
    def start(_loaded: Loaded) -> int:
        raise StartError(os.EX_UNAVAILABLE, "127.0.0.1:80: in use")

    loaded = load(None, {}, {})
    with watching(Config(reload=True), None) as watcher:
        assert watcher is not None
        with pytest.raises(StartError, match="in use"):
            persist(start, loaded, lambda: loaded, watcher)


def test_the_status_of_what_was_served_is_returned() -> None:
    loaded = load(None, {}, {})
    with watching(Config(reload=True), None) as watcher:
        assert watcher is not None
        assert persist(lambda _loaded: 0, loaded, lambda: loaded, watcher) == 0
