"""A client of TLS 1.3 that asks for new keys again and again (RFC 8446 §4.6.3), by OpenSSL: Python's ssl can not."""

import ctypes
import socket
from ctypes.util import find_library
from typing import Any, Final

REQUESTED: Final = 1  # SSL_KEY_UPDATE_REQUESTED: the peer is to answer with one of its own
SMALLEST: Final = 4096  # bytes that are received unread


def ask_for_new_keys(port: int, times: int) -> socket.socket:
    """Connect, ask so often and read none of the answers; return the socket, over which nothing else can be sent."""
    ssl = _openssl()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST)
    sock.connect(("127.0.0.1", port))
    connection = ssl.SSL_new(ssl.SSL_CTX_new(ssl.TLS_client_method()))
    ssl.SSL_set_fd(connection, sock.fileno())
    assert ssl.SSL_connect(connection) == 1
    sock.settimeout(0)  # when it is told no more, it has taken what it takes
    for _ in range(times):
        if ssl.SSL_key_update(connection, REQUESTED) != 1 or ssl.SSL_do_handshake(connection) != 1:
            break
    return sock


def _openssl() -> Any:  # Any: its functions have the types that ctypes takes them for
    ssl = ctypes.CDLL(find_library("ssl"))
    for each in ssl.TLS_client_method, ssl.SSL_CTX_new, ssl.SSL_new:
        each.restype = ctypes.c_void_p
    ssl.SSL_CTX_new.argtypes = ssl.SSL_new.argtypes = (ctypes.c_void_p,)
    ssl.SSL_set_fd.argtypes = ssl.SSL_key_update.argtypes = (ctypes.c_void_p, ctypes.c_int)
    ssl.SSL_connect.argtypes = ssl.SSL_do_handshake.argtypes = (ctypes.c_void_p,)
    return ssl
