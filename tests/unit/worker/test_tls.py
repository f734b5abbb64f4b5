"""What begins in TLS; that it goes on is seen with real clients in tests/process/test_tls.py."""

import gc
import socket
import ssl
import sys
import weakref

import pytest

from prefork.http.messages import Rejection
from prefork.worker.tls import untold_names, wrap


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
