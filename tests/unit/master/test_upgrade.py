"""An upgrade that has passed its trial, while it waits for a reload."""

from collections.abc import Iterator

import pytest

from prefork.master.poller import Poller
from prefork.master.upgrade import Upgrade


@pytest.fixture
def poller() -> Iterator[Poller]:
    one = Poller()
    yield one
    one.close()


def test_one_that_waits_is_given_up_once_with_the_reason(poller: Poller) -> None:
    failed: list[str] = []
    upgrade = Upgrade(poller, failed.append)
    upgrade.cancel("nobody asked")
    upgrade.due = True
    for _ in range(2):
        upgrade.cancel("the service is stopping")
    assert (upgrade.due, failed) == (False, ["the service is stopping"])
