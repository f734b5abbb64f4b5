"""What begins in TLS; that it goes on is seen with real clients in tests/process/test_tls.py."""

import gc
import socket
import ssl
import sys
import weakref
from collections.abc import Iterator

import pytest

from prefork.http.messages import Peer, Rejection
from prefork.worker.loop import READABLE
from prefork.worker.tls import HANDSHAKE, shake_hands, untold_names, wrap
from tests.corpus import PROXY_HEADERS


def test_of_a_client_that_speaks_plain_http_nothing_is_kept() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server, client = socket.socketpair()
    client.send(b"GET / HTTP/1.1\r\n")
    with pytest.raises(Rejection, match="plain HTTP to a port that speaks TLS"):
        wrap(context, server)
    server.close()
    client.close()
    left = weakref.ref(server)
    del server
    gc.collect()
    assert left() is None


@pytest.mark.parametrize("header", PROXY_HEADERS)
def test_an_unknown_proxy_is_not_taken_for_one_that_speaks_plain_http(
    pair: tuple[socket.socket, socket.socket], header: bytes
) -> None:
    server, client = pair
    client.send(header + HANDSHAKE)
    with pytest.raises(Rejection, match="PROXY header of an unknown proxy"):
        wrap(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), server)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    with ours, theirs:
        yield ours, theirs


def test_who_leaves_before_a_word_is_not_taken_for_one_that_speaks_plain_http(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    server, client = pair
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert wrap(context, server) == READABLE
    client.close()
    with pytest.raises(ConnectionResetError):
        wrap(context, server)


def test_a_handshake_is_not_waited_for_and_who_leaves_in_it_is_gone(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    server, client = pair
    peer = Peer(b"127.0.0.1")
    client.send(HANDSHAKE + b"\x03\x01")
    wrapped = wrap(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), server)
    assert isinstance(wrapped, ssl.SSLSocket)
    with wrapped:
        assert wrapped.gettimeout() == 0
        assert shake_hands(peer, wrapped) == READABLE
        client.close()
        with pytest.raises(ConnectionResetError):
            shake_hands(peer, wrapped)
    assert peer.scheme == b"http"


class Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def __del__(self) -> None:
        raise self._error


def test_what_else_nobody_can_catch_is_told_during_a_handshake_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: told.append(each.exc_type))
    undecodable = UnicodeDecodeError("ascii", b"\xff", 0, 1, "no ASCII")
    with untold_names():
        Failing(undecodable)
        Failing(KeyError())
    Failing(undecodable)
    assert told == [KeyError, UnicodeDecodeError]
