"""Which connections count as one client's."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from prefork.http.messages import Limits, Peer, Response
from prefork.http.protocol import Protocol
from prefork.http.service import Service
from prefork.worker.connection import Connection
from prefork.worker.crowd import Crowd, client_of
from prefork.worker.loop import Loop

SERVICE = Service(lambda _request, _peer, _content: Response(200), Limits())


@pytest.fixture
def loop() -> Iterator[Loop]:
    with closing(Loop()) as loop:
        yield loop


def connect(loop: Loop, crowd: Crowd[Connection], address: bytes) -> Connection:
    ours, theirs = socket.socketpair()
    theirs.close()
    connection = Connection(ours, Peer(address), Protocol(SERVICE, Peer(b"127.0.0.1")), loop, crowd)
    connection.begin(to_read=False)
    return connection


def crowd_of(loop: Loop, addresses: Sequence[bytes]) -> Crowd[Connection]:
    crowd: Crowd[Connection] = Crowd()
    for address in addresses:
        connect(loop, crowd, address)
    return crowd


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"192.0.2.1", b"192.0.2.1", True),
        (b"192.0.2.1", b"192.0.2.2", False),
        (b"2001:db8::1", b"2001:db8::2", True),
        (b"2001:db8::1", b"2001:db8:0:1::1", False),
        (b"fe80::1%eth0", b"fe80::2%eth1", True),
        (b"unix:", b"unix:", True),
    ],
)
def test_an_ipv4_address_or_an_ipv6_network_is_one_client_rfc4291_2_5_1(
    one: bytes, other: bytes, *, same: bool
) -> None:
    assert (client_of(one) == client_of(other)) is same


def test_connections_are_counted_from_their_beginning_to_their_end(loop: Loop) -> None:
    crowd: Crowd[Connection] = Crowd()
    peer = Peer(b"192.0.2.1")
    first, second = (connect(loop, crowd, peer.address) for _ in range(2))
    third = connect(loop, crowd, b"192.0.2.2")
    assert (len(crowd), crowd.count_of(peer), crowd.count_of(Peer(b"192.0.2.2"))) == (3, 2, 1)
    first.close()
    second.forget()
    crowd.discard(second)  # a second time
    assert (len(crowd), crowd.count_of(peer), crowd._counts) == (1, 0, {b"192.0.2.2": 1})
    third.close()
    assert not crowd._counts


def test_behind_a_unix_socket_nobody_is_counted(loop: Loop) -> None:
    crowd = crowd_of(loop, [b"unix:"])
    assert (len(crowd), crowd.count_of(Peer(b"unix:"))) == (1, 0)
    for connection in list(crowd):
        connection.close()
