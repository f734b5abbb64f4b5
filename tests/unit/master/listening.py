"""Who connects to listeners, and what is seen of them."""

import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from prefork.config.addresses import Address, Descriptor, Inet, Passed, Unix
from prefork.master.listeners import Listener, Listeners

ANY_PORT = Inet("127.0.0.1", 0)
Open: TypeAlias = Callable[..., Listeners]


def all_sockets(listeners: Listeners) -> list[socket.socket]:
    return [each for member in listeners.members for each in member.sockets]


def inet(listeners: Listeners) -> Inet:
    (address,) = listeners.addresses
    assert isinstance(address, Inet)
    return address


def connected(address: Address) -> socket.socket:
    if isinstance(address, Inet):
        return socket.create_connection((address.host, address.port), timeout=5)
    assert isinstance(address, Unix)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(address.path)
    return client


def accept_from(listeners: list[socket.socket]) -> tuple[socket.socket, socket.socket]:
    """Wait for a connection and return the listener that it came to, and the connection."""
    with selectors.DefaultSelector() as ready:
        for each in listeners:
            ready.register(each, selectors.EVENT_READ)
        ((key, _), *_) = ready.select(timeout=5)
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj, key.fileobj.accept()[0]


def accept_one(listeners: list[socket.socket]) -> socket.socket:
    return accept_from(listeners)[1]


def refused(address: Address) -> bool:
    try:
        connected(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def names(folder: str | Path) -> list[str]:
    return sorted(entry.name for entry in Path(folder).iterdir())


def foreign(address: Passed | Descriptor, where: str = "127.0.0.1") -> Listener:
    """Return what somebody else listens with, as it is passed."""
    return Listener(address, (socket.create_server((where, 0), backlog=7),))


def passing(*passed: Listener) -> Listeners:
    return Listeners("reuseport", (), passed)
