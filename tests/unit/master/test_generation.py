"""What of a generation the supervisor is told."""

import pytest

from prefork.config.schema import Config
from prefork.ipc.seat import Seat
from prefork.logs.files import LogFiles
from prefork.master.binding import SocketOptions, open_listeners
from prefork.master.fleet import Wanted
from prefork.master.generation import Generation


def no_work(_seat: Seat) -> None:
    pytest.fail("no worker is forked here")


def test_what_is_wanted_is_what_the_configuration_says() -> None:
    config = Config(workers="auto", boot_timeout=1.5, graceful_timeout=2.5, max_spawn_failures=7)
    listeners = open_listeners((), SocketOptions(1), accept="shared", slots=3)
    generation = Generation(5, config, 3, listeners, LogFiles(), no_work)
    assert generation.wanted() == Wanted(
        workers=3, generation=5, boot_timeout=1.5, graceful_timeout=2.5, max_spawn_failures=7
    )
