"""What was opened by others, as real descriptors."""

import os
import socket
from collections.abc import Mapping

import pytest

from prefork.config.addresses import Address, Descriptor, Passed
from prefork.master.errors import StartError
from prefork.master.passed import passed_listeners, unwanted

ADDRESSES: Mapping[int, tuple[str, int] | str] = {
    socket.AF_INET: ("127.0.0.1", 0),
    socket.AF_INET6: ("::1", 0),
    socket.AF_UNIX: "",  # an abstract one, which the kernel chooses
}


def server(family: socket.AddressFamily = socket.AF_INET, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return the number of a socket that listens, as systemd passes it; whoever takes it over closes it."""
    sock = socket.socket(family, kind)
    sock.bind(ADDRESSES[family])
    sock.listen()
    sock.set_inheritable(True)
    return sock.detach()


def test_sockets_of_one_name_are_one_listener() -> None:
    one, two, three = server(), server(socket.AF_INET6), server(socket.AF_UNIX)
    listeners, closed = passed_listeners([("web", one), ("admin", two), ("web", three)], [Passed()])
    assert [(each.address, [sock.fileno() for sock in each.sockets]) for each in listeners] == [
        (Passed("web"), [one, three]),
        (Passed("admin"), [two]),
    ]
    assert closed == []
    assert {(sock.gettimeout(), sock.get_inheritable()) for each in listeners for sock in each.sockets} == {(0, False)}
    for each in listeners:
        each.close()


def test_what_nobody_can_listen_on_is_closed_and_told() -> None:
    reader, writer = os.pipe()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()
    connected, other = socket.socketpair()
    packets = server(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    given = [("pipe", reader), ("log", datagrams), ("a", packets), ("stored", connected.detach()), ("gone", 9999)]
    assert passed_listeners(given, [Passed("web")]) == ((), ["pipe", "log", "a", "stored", "gone"])
    for fd in (reader, datagrams, packets):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    os.close(writer)
    other.close()


@pytest.mark.parametrize("wanted", [Passed("web"), Passed()])
def test_what_is_wanted_has_to_listen(wanted: Address) -> None:
    reader, writer = os.pipe()
    with pytest.raises(StartError) as refusal:
        passed_listeners([("web", reader)], [wanted])
    assert refusal.value.status == os.EX_CONFIG
    assert str(refusal.value).startswith(f"systemd:web: descriptor {reader} is not a listening TCP or unix socket; its")
    os.close(reader)
    os.close(writer)


def test_a_number_has_to_be_that_of_a_listening_socket() -> None:
    reader, writer = os.pipe()
    for number in (reader, 9999):
        with pytest.raises(StartError, match=f"fd:{number}: not a listening TCP or unix socket; the service has to be"):
            passed_listeners([], [Descriptor(number)])
    os.close(reader)
    os.close(writer)


def test_a_socket_with_a_name_is_not_to_be_had_by_its_number() -> None:
    number = server()
    with pytest.raises(StartError, match=f"fd:{number}: systemd has passed it by a name; bind to systemd:web instead"):
        passed_listeners([("web", number)], [Descriptor(number)])
    os.close(number)


def test_names_that_nobody_asks_for_are_told() -> None:
    number = server()
    listeners, _ = passed_listeners([("web", server()), ("admin", server())], [Descriptor(number)])
    assert listeners[-1].address == Descriptor(number)
    assert unwanted(listeners, [Passed("web")]) == ["admin"]
    assert unwanted(listeners, [Passed()]) == []
    for each in listeners:
        each.close()
