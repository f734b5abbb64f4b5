"""Clients that don't read: their answers wait, and cost no more than they should."""

import threading
from contextlib import suppress

from tests.process import proc, tcp
from tests.process.clients import GET, Client
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.tcp import State
from tests.process.waiting import until

BODY = "0123456789" * 100
REQUESTS = 40_000  # some 45 MB of answers: more than any socket buffer takes
MOST_GROWTH = 16 * 1024 * 1024


def send_without_reading(client: Client) -> threading.Thread:
    """Send more requests than can be answered to a client that doesn't read; the thread may be stuck until it does."""

    def send() -> None:
        with suppress(ConnectionError):  # the server may lose patience
            client.send(GET * REQUESTS)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def wait_until_reading_stops(hello: Hello) -> None:
    until(lambda: any(each.unread for each in tcp.sockets_of(hello.ports[0], State.ESTABLISHED)), "unread requests")


def test_answers_to_a_pipelined_batch_wait_for_a_slow_reader_and_none_is_lost(start: Start) -> None:
    hello = start(f'workers = 1\n[hello]\nbody = "{BODY}"')
    (worker,) = hello.worker_pids()
    before = proc.resident_bytes(worker)
    client = hello.connect()
    sender = send_without_reading(client)
    wait_until_reading_stops(hello)
    assert hello.get().status_code == 200  # the others are served meanwhile
    assert proc.cpu_share([worker]) < 0.2
    assert all(client.answer().body == BODY.encode() for _ in range(REQUESTS))
    sender.join()
    assert client.ask().status == 200
    assert proc.resident_bytes(worker) - before < MOST_GROWTH


def test_a_client_that_reads_nothing_is_closed_after_write_timeout(start: Start) -> None:
    hello = start(f'workers = 1\nwrite_timeout = "300ms"\n[hello]\nbody = "{BODY}"')
    client = hello.connect()
    sender = send_without_reading(client)
    wait_until_reading_stops(hello)
    hello.wait_until_closed()
    sender.join()
