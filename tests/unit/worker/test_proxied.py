"""The header of a proxy, read from a real socket: all of it is taken and nothing else, however it arrives."""

import socket
from collections.abc import Iterator

import pytest

from prefork.http.messages import Peer
from prefork.worker.loop import READABLE
from prefork.worker.opening import Step
from prefork.worker.proxied import proxy_opener

PROXY = b"192.0.2.1"
V1 = b"PROXY TCP4 198.51.100.7 192.0.2.9 4000 80\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\xc0\x00\x02\x09\x0f\xa0\x00\x50"
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
GET = b"GET / HTTP/1.1\r\n"

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, proxy = socket.socketpair()
    ours.settimeout(0)
    with ours, proxy:
        yield ours, proxy


def step_for(peer: Peer, sock: socket.SocketType) -> Step:
    (step,) = proxy_opener(PROXY.__eq__)(peer, sock)
    return step


def test_nobody_else_is_asked_for_a_header(pair: Pair) -> None:
    assert proxy_opener(PROXY.__eq__)(Peer(b"192.0.2.2"), pair[0]) == []


@pytest.mark.parametrize("header", [V1, V2])
def test_the_peer_is_whom_the_header_tells_of_and_what_follows_is_left(pair: Pair, header: bytes) -> None:
    ours, proxy = pair
    peer = Peer(PROXY)
    proxy.send(header + GET)
    assert step_for(peer, ours)(ours) is ours
    assert (peer.address, peer.is_known) == (b"198.51.100.7", True)
    assert ours.recv(100) == GET


@pytest.mark.parametrize("header", [V1, V2])
def test_a_header_in_pieces_wakes_for_each_of_them_once(pair: Pair, header: bytes) -> None:
    ours, proxy = pair
    peer = Peer(PROXY)
    step = step_for(peer, ours)
    for place in range(len(header) - 1):
        proxy.send(header[place : place + 1])
        assert step(ours) == READABLE
        assert step(ours) == READABLE  # nothing is left to be read
    proxy.send(header[-1:] + GET)
    assert step(ours) is ours
    assert (peer.address, ours.recv(100)) == (b"198.51.100.7", GET)


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
def test_of_whom_a_proxy_tells_nothing_the_address_is_the_proxys_and_not_known(pair: Pair, header: bytes) -> None:
    ours, proxy = pair
    peer = Peer(PROXY)
    proxy.send(header)
    assert step_for(peer, ours)(ours) is ours
    assert (peer.address, peer.is_known) == (PROXY, False)


def test_what_is_no_header_is_given_up_with_a_reason(pair: Pair) -> None:
    ours, proxy = pair
    proxy.send(GET)
    with pytest.raises(ConnectionAbortedError, match=r"^no PROXY header, or a malformed one$"):
        step_for(Peer(PROXY), ours)(ours)


@pytest.mark.parametrize("sent", [b"", V1[:9]])
def test_a_proxy_that_leaves_before_the_end_of_its_header_is_given_up(pair: Pair, sent: bytes) -> None:
    ours, proxy = pair
    step = step_for(Peer(PROXY), ours)
    proxy.send(sent)
    step(ours)
    proxy.close()
    with pytest.raises(ConnectionResetError):
        step(ours)
