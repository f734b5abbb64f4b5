"""Workers that have served for long enough are replaced, and nobody notices."""

import pytest

from tests.process.clients import Load
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.waiting import until


def events(hello: Hello, *kinds: str) -> list[str]:
    """Return, in the order of the log, which of these have happened."""
    found = ((line.find(f" {kind} "), kind) for line in hello.log.splitlines() for kind in kinds)
    return [kind for position, kind in found if position >= 0]


def test_a_worker_is_replaced_after_so_many_requests_and_its_connections_stay(start: Start) -> None:
    hello = start("workers = 1\nmax_requests = 20\nrecycle_jitter = 0")
    before = hello.worker_pids()
    client = hello.connect()
    for _ in range(20):
        assert client.ask().status == 200
    hello.wait_for_log('reason="max_requests: 20"')
    hello.wait_for_workers(1, without=before)
    answer = client.ask()
    assert (answer.status, answer.is_last) == (200, False)


@pytest.mark.parametrize("accept", ["shared", "reuseport"])
def test_workers_that_are_worn_again_and_again_lose_no_request(start: Start, accept: str) -> None:
    hello = start(f'workers = 2\nmax_requests = 200\naccept = "{accept}"')
    with Load(hello.connect) as load:
        until(lambda: len(events(hello, "recycling worker")) >= 10, "ten recycled workers")
    assert load.lost == []
    assert load.count > 10 * 200


def test_the_successor_of_each_is_ready_before_it_leaves(start: Start) -> None:
    hello = start("workers = 4\nmax_lifetime = 0.6\nrecycle_jitter = 0")
    until(lambda: len(events(hello, "worker exited")) >= 8, "two rounds")
    serving = 0
    for kind in events(hello, "worker ready", "worker exited"):
        serving += 1 if kind == "worker ready" else -1
        assert kind == "worker ready" or serving >= 4


def test_a_worker_is_replaced_that_has_grown_too_large(start: Start) -> None:
    hello = start('workers = 1\nmax_memory = "1k"\nmax_lifetime = 60')
    before = hello.worker_pids()
    hello.wait_for_log(" bytes of its own")
    until(lambda: not before & hello.worker_pids(), "the end of the first")  # all that follow are too large as well
    hello.reload("workers = 1")  # so that it comes to rest
    hello.take_stock()
