"""How many connections a worker takes: as many as the limit are served, one more waits, or is refused and told so."""

import select
import socket
import time
from contextlib import suppress

import pytest

from tests.process.clients import GET, Client
from tests.process.starting import Start
from tests.process.waiting import until

PAUSE = 0.5  # seconds; not a wait: what would be there at once


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_beyond_max_connections_new_ones_wait_until_there_is_room(start: Start, accept: str) -> None:
    hello = start(f'workers = 1\naccept = "{accept}"\nmax_connections = 3\nkeep_alive_timeout = 60')
    served = [hello.connect() for _ in range(3)]
    assert all(map(Client.is_served, served))
    waiting = hello.connect()
    waiting.send(GET)
    hello.wait_for_log("full: new connections wait")
    assert all(map(Client.is_served, served))
    served.pop().close()
    assert waiting.answer().status == 200
    for client in (*served, waiting):
        client.close()
    hello.wait_for_log("no longer full")


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_max_connections_are_those_of_all_listeners_together(start: Start, accept: str) -> None:
    bind = ["127.0.0.1:0", "127.0.0.2:0", "unix:hello.sock"]
    hello = start(f'workers = 1\naccept = "{accept}"\nmax_connections = 3\nkeep_alive_timeout = 60', bind=bind)
    served = [hello.connect() for _ in range(3)]
    assert all(map(Client.is_served, served))
    waiting = [hello.connect(each) for each in hello.addresses]
    for client in waiting:
        client.send(GET)
    hello.wait_for_log("full: new connections wait connections=3")
    assert select.select([client.socket for client in waiting], [], [], PAUSE) == ([], [], [])
    for client in served:
        client.close()
    assert all(client.answer().status == 200 for client in waiting)


def test_beyond_max_connections_new_ones_are_refused_where_that_is_wanted(start: Start) -> None:
    hello = start('workers = 1\nmax_connections = 3\nwhen_full = "refuse"\nkeep_alive_timeout = 60')
    served = [hello.connect() for _ in range(3)]
    assert all(map(Client.is_served, served))
    refused = hello.connect()
    refused.send(GET)
    answer = refused.answer()
    assert (answer.status, answer.is_last, answer.fields["retry-after"]) == (503, True, "1")
    assert refused.until_closed() == b""
    hello.wait_for_log(
        'requests refused status=503 reason="too many connections" count=1 last=127.0.0.1 key=max_connections\n'
    )
    assert all(map(Client.is_served, served))
    for client in (*served, refused):
        client.close()


def test_who_is_refused_and_does_not_close_is_closed_before_long(start: Start) -> None:
    hello = start('workers = 1\nmax_connections = 1\nwhen_full = "refuse"')
    (worker,) = hello.worker_pids()
    served = hello.connect()
    assert served.is_served()
    before = hello.descriptor_count(worker)
    refused = hello.connect()
    assert refused.answer().status == 503
    assert hello.descriptor_count(worker) == before + 1
    until(lambda: hello.descriptor_count(worker) == before, "the refused one is closed")
    assert served.is_served()
    for client in (served, refused):
        client.close()


def test_a_client_has_no_more_connections_than_the_limit_and_others_are_served(start: Start) -> None:
    hello = start("workers = 1\nmax_connections_per_client = 3\nkeep_alive_timeout = 60\nforwarded_allow_ips = []")
    served = [hello.connect() for _ in range(3)]
    assert all(map(Client.is_served, served))
    refused = hello.connect()
    assert refused.answer().status == 503
    other = Client(socket.create_connection(("127.0.0.1", hello.ports[0]), source_address=("127.0.0.2", 0)))
    assert other.is_served()
    hello.wait_for_log('requests refused status=503 reason="too many connections of one client" count=1')
    for client in (*served, refused, other):
        client.close()


def test_a_proxy_has_as_many_connections_as_it_wants(start: Start) -> None:
    hello = start('workers = 1\nmax_connections_per_client = 1\nforwarded_allow_ips = ["127.0.0.1"]')
    clients = [hello.connect() for _ in range(3)]
    assert all(map(Client.is_served, clients))
    for client in clients:
        client.close()


TRICKLE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


def test_a_body_that_trickles_in_is_given_up_though_there_is_always_some(start: Start) -> None:
    hello = start("workers = 1\nbody_timeout = 0.4\nmin_data_rate = 1000")
    client = hello.connect()
    client.send(TRICKLE)
    client.socket.settimeout(0.02)
    for _ in range(1000):
        client.send(b"x")
        with suppress(TimeoutError):
            assert client.answer().status == 408
            break
    else:
        pytest.fail("it could go on like that")


def test_a_body_that_comes_fast_enough_may_last_longer_than_its_timeout(start: Start) -> None:
    hello = start("workers = 1\nbody_timeout = 1\nmin_data_rate = 1")
    client = hello.connect()
    client.send(TRICKLE.replace(b"1000000", b"20"))
    for _ in range(20):
        client.send(b"x")
        time.sleep(0.1)  # not a wait: the pace
    assert client.answer().status == 200
