"""What of a generation the supervisor is told, and how the next one can't be made."""

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from prefork.config.schema import Config
from prefork.ipc.seat import Seat
from prefork.logs.files import LogFiles
from prefork.master.binding import SocketOptions, open_listeners
from prefork.master.errors import StartError
from prefork.master.fleet import Wanted
from prefork.master.generation import Generation, Generations, Kept
from prefork.master.listeners import Listeners


def no_work(_seat: Seat) -> None:
    pytest.fail("no worker is forked here")


def test_what_is_wanted_is_what_the_configuration_says() -> None:
    config = Config(workers="auto", boot_timeout=1.5, graceful_timeout=2.5, max_spawn_failures=7)
    listeners = open_listeners((), SocketOptions(1), accept="shared", slots=3)
    generation = Generation(5, config, 3, listeners, LogFiles(), no_work)
    assert generation.wanted() == Wanted(
        workers=3, generation=5, boot_timeout=1.5, graceful_timeout=2.5, max_spawn_failures=7
    )


class Refused:
    """A composition root to which the system refuses everything."""

    def renew(self, previous: Generation, number: int) -> Generation:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    def grow(self, generation: Generation, workers: int) -> Listeners:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    def merge(self, kept: Generation, given_up: Generation) -> Generation:
        return kept

    def on_ready(self) -> None:
        pass

    def kept(self) -> Kept:
        return Kept()


@pytest.mark.parametrize(
    "make",
    [lambda generations, first: generations.renew(first), lambda generations, first: generations.grow(first.number, 2)],
)
def test_what_the_system_refuses_to_the_next_one_is_told_as_what_it_fails_by(
    make: Callable[[Generations, Generation], Any],
) -> None:
    listeners = open_listeners((), SocketOptions(1), accept="shared", slots=1)
    first = Generation(1, Config(), 1, listeners, LogFiles(), no_work)
    with pytest.raises(
        StartError, match=r"^the system refused: Too many open files in system; raise the system's limits$"
    ):
        make(Generations(first, 1, Refused()), first)
