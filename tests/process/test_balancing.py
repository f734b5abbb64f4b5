"""Balance: connections are spread over the workers when they come, after a roll, and after workers have joined."""

import os
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTTIN
from time import monotonic

import pytest

from tests.process import proc, tcp
from tests.process.clients import GET, Client
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.tcp import State
from tests.process.waiting import LIMIT, until

EITHER = pytest.mark.parametrize("accept", ["shared", "reuseport"])


def counts(hello: Hello) -> dict[int, int]:
    """Return how many connections each worker holds, by its pid."""
    names = {each.name for each in tcp.sockets_of(hello.ports[0], State.ESTABLISHED)}
    return {pid: len(names & set(proc.descriptors(pid).values())) for pid in hello.worker_pids()}


def imbalance(hello: Hello) -> float:
    """Return max/mean of the counts: 1.0 when all have the same."""
    found = counts(hello)
    return max(found.values()) * len(found) / sum(found.values())


def open_one_by_one(hello: Hello, count: int) -> list[Client]:
    clients = []
    for _ in range(count):
        clients.append(hello.connect())
        assert clients[-1].ask().status == 200
    return clients


def open_at_once(hello: Hello, count: int) -> list[Client]:
    clients = [hello.connect() for _ in range(count)]
    for client in clients:
        client.send(GET)
    assert {client.answer().status for client in clients} == {200}
    return clients


def still_open(clients: list[Client]) -> bool:
    return all(client.ask().status == 200 for client in clients)


def start_four(start: Start, accept: str) -> Hello:
    return start(f'workers = 4\nkeep_alive_timeout = 60\naccept = "{accept}"')


def test_connections_opened_one_by_one_are_spread_and_stay_so_after_a_roll(start: Start) -> None:
    hello = start_four(start, "shared")
    clients = open_one_by_one(hello, 1000)
    assert imbalance(hello) <= 1.1
    before = set(counts(hello))
    hello.signal(SIGHUP)
    hello.wait_for_workers(4, without=before)
    until(lambda: sum(counts(hello).values()) == 1000 and imbalance(hello) <= 1.1, "balance after the roll")
    assert still_open(clients)


@pytest.mark.parametrize(("count", "most"), [(20, 1.6), (1000, 1.1)])
def test_connections_opened_at_once_are_spread(start: Start, count: int, most: float) -> None:
    def spread() -> float:
        hello = start_four(start, "shared")
        open_at_once(hello, count)
        return imbalance(hello)

    # A worker that the machine keeps from running meanwhile takes none of a few.
    assert any(spread() <= most for _ in range(3))


@EITHER
def test_workers_that_join_get_their_share(start: Start, accept: str) -> None:
    hello = start_four(start, accept)
    clients = open_one_by_one(hello, 1000)
    for workers in range(5, 9):
        hello.signal(SIGTTIN)
        hello.wait_for_workers(workers)
    until(lambda: sum(counts(hello).values()) == 1000 and imbalance(hello) <= 1.2, "balance")
    assert still_open(clients)


@EITHER
def test_the_successor_of_a_killed_worker_gets_its_share(start: Start, accept: str) -> None:
    hello = start_four(start, accept)
    open_one_by_one(hello, 400)
    killed, lost = max(counts(hello).items(), key=lambda each: each[1])
    os.kill(killed, SIGKILL)
    hello.wait_for_workers(4, without=[killed])
    until(lambda: sum(counts(hello).values()) == 400 - lost and imbalance(hello) <= 1.2, "balance")


def test_a_stopped_worker_keeps_no_other_from_accepting(start: Start) -> None:
    hello = start_four(start, "shared")
    open_one_by_one(hello, 100)
    stopped = min(counts(hello))
    os.kill(stopped, SIGSTOP)
    try:
        before = counts(hello)[stopped]
        began = monotonic()
        open_one_by_one(hello, 100)
        assert monotonic() - began < LIMIT / 3
        assert counts(hello)[stopped] == before
    finally:
        os.kill(stopped, SIGCONT)


def test_a_connection_announced_to_a_worker_that_is_stopped_is_accepted_by_another(start: Start) -> None:
    hello = start("workers = 2\naccept = 'shared'")
    for stopped in [*hello.worker_pids()] * 5:
        os.kill(stopped, SIGSTOP)
        try:
            assert hello.connect().ask().status == 200
        finally:
            os.kill(stopped, SIGCONT)
