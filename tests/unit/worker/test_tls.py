"""What begins in TLS; that it goes on is seen with real clients in tests/process/test_tls.py."""

import gc
import socket
import ssl
import weakref

import pytest

from prefork.http.messages import Rejection
from prefork.worker.tls import wrap


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
