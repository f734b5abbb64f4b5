"""What of a generation the supervisor is told, and how the next one can't be made."""

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from prefork.config.addresses import Inet, Passed
from prefork.config.schema import Config
from prefork.ipc.seat import Seat
from prefork.logs.files import LogFiles
from prefork.master.binding import SocketOptions, open_listeners
from prefork.master.errors import StartError
from prefork.master.fleet import Wanted
from prefork.master.generation import Generation, Generations, Kept
from prefork.master.listeners import Listener, Listeners


def no_work(_seat: Seat) -> None:
    pytest.fail("no worker is forked here")


def test_what_is_wanted_is_what_the_configuration_says() -> None:
    config = Config(workers="auto", boot_timeout=1.5, graceful_timeout=2.5, max_spawn_failures=7)
    listeners = open_listeners((), SocketOptions(1), accept="shared", slots=3)
    generation = Generation(5, config, 3, listeners, LogFiles(), no_work)
    assert generation.wanted() == Wanted(
        workers=3, generation=5, boot_timeout=1.5, graceful_timeout=2.5, max_spawn_failures=7
    )


def test_of_what_another_listens_on_that_is_closed_which_this_one_does_not_have_and_nobody_passed() -> None:
    options, both = SocketOptions(1), (Inet("127.0.0.1", 0), Inet("127.0.0.2", 0))
    passed = Listener(Passed("web"), (socket.create_server(("127.0.0.1", 0)),))
    old = open_listeners(both, options, accept="reuseport", slots=2)
    new = open_listeners(both[:1], options, accept="reuseport", slots=3, previous=old)
    all_of_it = replace(old, members=(*old.members, passed))
    generations = Generations(Generation(1, Config(), 2, all_of_it, LogFiles(), no_work), 2, Renewing(new))
    generations.renew(generations[1])
    assert generations.closed_for(2) == list(old.members[1].sockets)
    assert generations.closed_for(1) == []
    for each in old, new, Listeners("shared", (passed,)):
        each.close()


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


class Renewing(Refused):
    """One that makes the next generation listen on these."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    def renew(self, previous: Generation, number: int) -> Generation:
        return replace(previous, number=number, listeners=self._listeners)


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
