"""What becomes of a start that fails for good; that one is tried again is seen in tests/process/test_developing.py."""

import os

import pytest

from prefork.config.load import Loaded, load
from prefork.config.schema import Config
from prefork.master.errors import StartError
from prefork.mending import persist
from prefork.watching import watching


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
