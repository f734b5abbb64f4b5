"""Clients that go away in the ways that once left sockets behind: each way a thousand times, ten times over.

A peer that closes makes its socket readable for ever. A server that doesn't close its side keeps the descriptor, the
socket stays in CLOSE_WAIT, and a level-triggered loop never sleeps again.
"""

from collections.abc import Callable

import pytest

from tests.process import proc
from tests.process.clients import GET, HALF_A_HEAD, Client
from tests.process.starting import Start

ROUNDS = 10
CLIENTS = 1000
SPINNING = 0.2  # of a CPU; an idle worker uses next to nothing


def close_at_once(client: Client) -> None:
    client.close()


def close_after_half_a_head(client: Client) -> None:
    client.send(HALF_A_HEAD)
    client.close()


def close_without_reading_the_answer(client: Client) -> None:
    client.send(GET)
    client.close()


def reset(client: Client) -> None:
    client.send(GET)
    client.reset()


def reset_after_half_a_head(client: Client) -> None:
    client.send(HALF_A_HEAD)
    client.reset()


def half_close_and_wait_for_the_answer(client: Client) -> None:
    client.send(GET)
    client.half_close()
    assert client.answer().status == 200
    assert client.until_closed() == b""
    client.close()


@pytest.mark.slow
@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize(
    "leave",
    [
        close_at_once,
        close_after_half_a_head,
        close_without_reading_the_answer,
        reset,
        reset_after_half_a_head,
        half_close_and_wait_for_the_answer,
    ],
)
def test_ten_thousand_clients_that_go_away_leave_nothing_behind(start: Start, leave: Callable[[Client], None]) -> None:
    hello = start("workers = 2")
    for _ in range(ROUNDS):
        for client in [hello.connect() for _ in range(CLIENTS)]:
            leave(client)
    hello.wait_until_closed()
    assert proc.cpu_share(hello.descriptors) < SPINNING
    assert hello.get().status_code == 200


def test_a_client_that_half_closes_after_half_a_head_is_let_go(start: Start) -> None:
    hello = start("workers = 1")
    client = hello.connect()
    client.send(HALF_A_HEAD)
    client.half_close()
    assert client.until_closed() == b""


def test_a_client_that_half_closes_gets_all_answers_to_what_it_has_pipelined(start: Start) -> None:
    client = start("workers = 1").connect()
    client.send(GET * 5000)
    client.half_close()
    assert all(client.answer().status == 200 for _ in range(5000))
    assert client.until_closed() == b""
