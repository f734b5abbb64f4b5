"""Listening, taking over and giving up, with real sockets."""

import errno
import os
import socket
import tempfile
from pathlib import Path

import pytest

from prefork.config.addresses import Address, Descriptor, Inet, Passed, Unix
from prefork.master import binding
from prefork.master.binding import MOST_NOT_SENT, backlog_warning
from prefork.master.errors import StartError
from prefork.master.listeners import Accept, Listener
from tests.unit.descriptors import none_from, open_descriptors
from tests.unit.master.listening import (
    ANY_PORT,
    Open,
    accept_from,
    accept_one,
    all_sockets,
    connected,
    foreign,
    inet,
    names,
    passing,
    refused,
)


def test_a_listening_socket_does_not_block_and_its_connections_send_at_once(listen: Open) -> None:
    listeners = listen(ANY_PORT)
    (listener,) = all_sockets(listeners)
    with connected(inet(listeners)), accept_one([listener]) as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert listener.gettimeout() == 0
    assert not listener.get_inheritable()


def test_connections_give_up_what_is_not_acknowledged_and_another_listen_may_change_when(listen: Open) -> None:
    listeners = listen(ANY_PORT, tcp_user_timeout=1.5)
    for timeout in (1.5, 0.0):
        again = listen(ANY_PORT, tcp_user_timeout=timeout, previous=listeners)
        with connected(inet(again)), accept_one(all_sockets(again)) as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == timeout * 1000
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == MOST_NOT_SENT


def test_connections_are_left_to_the_kernel_until_something_comes_and_another_listen_may_change_that(
    listen: Open,
) -> None:
    listeners = listen(ANY_PORT, tcp_defer_accept=60.0)
    with connected(inet(listeners)) as silent, connected(inet(listeners)) as client:
        client.send(b"G")
        with accept_one(all_sockets(listeners)) as accepted:
            assert accepted.getpeername() == client.getsockname() != silent.getsockname()
            assert accepted.recv(2) == b"G"
    with accept_one(all_sockets(listeners)) as accepted:
        assert accepted.recv(1) == b""  # it has left
    again = listen(ANY_PORT, tcp_defer_accept=0.0, previous=listeners)
    with connected(inet(again)) as silent, accept_one(all_sockets(again)) as accepted:
        assert accepted.getpeername() == silent.getsockname()


def test_reuseport_opens_a_socket_a_slot_all_on_the_port_that_the_kernel_chose(listen: Open) -> None:
    listeners = listen(ANY_PORT, slots=4)
    assert {each.getsockname()[1] for each in all_sockets(listeners)} == {inet(listeners).port}
    assert [listeners.for_slot(slot, 4) for slot in range(4)] == [(each,) for each in all_sockets(listeners)]


def test_every_socket_of_a_reuseport_group_gets_connections(listen: Open) -> None:
    listeners = listen(ANY_PORT, slots=2)
    came_to = set()
    for _ in range(64):
        with connected(inet(listeners)):
            listener, connection = accept_from(all_sockets(listeners))
            connection.close()
            came_to.add(listener)
    assert came_to == set(all_sockets(listeners))


def test_shared_opens_one_socket_for_all_slots(listen: Open) -> None:
    listeners = listen(ANY_PORT, accept="shared", slots=4)
    (listener,) = all_sockets(listeners)
    assert all(listeners.for_slot(slot, 4) == (listener,) for slot in range(4))


def test_more_slots_add_sockets_and_fewer_close_none(listen: Open) -> None:
    two = listen(ANY_PORT, slots=2)
    three = listen(ANY_PORT, slots=3, previous=two)
    one = listen(ANY_PORT, slots=1, previous=three)
    assert all_sockets(three)[:2] == all_sockets(two)
    assert len(all_sockets(three)) == 3
    assert all_sockets(one) == all_sockets(three)
    assert inet(one) == inet(two)


def test_a_reload_may_go_from_all_addresses_to_one(listen: Open) -> None:
    old = listen(Inet("0.0.0.0", 0))
    narrow = Inet("127.0.0.1", old.members[0].sockets[0].getsockname()[1])
    new = listen(narrow, previous=old)
    old.close_dropped(new)
    assert not refused(narrow)
    assert refused(Inet("127.0.0.2", narrow.port))


def test_the_sockets_of_one_service_are_not_in_each_others_way(listen: Open) -> None:
    everywhere = listen(Inet("0.0.0.0", 0))
    port = everywhere.members[0].sockets[0].getsockname()[1]
    everywhere.close()
    addresses = [Inet(host, port) for host in ("0.0.0.0", "127.0.0.1", "127.0.0.2", "0")]
    for slots in (1, 2):
        listeners = listen(*addresses, slots=slots)
        assert len(all_sockets(listeners)) == 4 * slots
        assert not any(map(refused, addresses))
        listeners.close()


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_a_second_service_is_told_that_the_address_is_in_use(listen: Open, accept: Accept) -> None:
    address = inet(listen(ANY_PORT, accept=accept, slots=2))
    with pytest.raises(StartError) as refusal:
        listen(address, accept="reuseport", slots=2)
    assert refusal.value.status == os.EX_UNAVAILABLE
    assert str(refusal.value).startswith(f"{address}: address in use; ")


def test_a_port_is_listened_on_again_while_the_kernel_remembers_its_last_connections(listen: Open) -> None:
    first = listen(ANY_PORT)
    address = inet(first)
    with connected(address) as client:
        accept_one(all_sockets(first)).close()  # who closes first is the one in TIME_WAIT
        assert client.recv(1) == b""
    first.close()
    assert not refused(inet(listen(address)))


def test_a_failure_closes_what_was_new_and_leaves_the_old(listen: Open, tmp_path: Path) -> None:
    old = listen(ANY_PORT, slots=2)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = Inet(*stranger.getsockname())
        before = open_descriptors()
        with pytest.raises(StartError):
            listen(ANY_PORT, Inet("127.0.0.2", 0), Unix(f"{tmp_path}/socket"), taken, slots=4, previous=old)
        assert open_descriptors() == before
    assert not (tmp_path / "socket").exists()
    assert not refused(inet(old))


def test_what_the_system_refuses_else_is_told_in_its_words_with_71(listen: Open) -> None:
    with none_from(0), pytest.raises(StartError) as refusal:
        listen(ANY_PORT)
    assert refusal.value.status == os.EX_OSERR
    assert str(refusal.value).startswith("127.0.0.1:0: cannot listen: Too many open files")


def test_an_address_of_another_machine_can_not_be_assigned(listen: Open) -> None:
    with pytest.raises(StartError) as refusal:
        listen(Inet("192.0.2.1", 8080))
    assert refusal.value.status == os.EX_UNAVAILABLE
    assert str(refusal.value).startswith("192.0.2.1:8080: cannot assign address; ")


def test_a_version_of_ip_that_the_machine_has_not_is_told_as_such(
    listen: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_family: int) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(binding, "_tcp_socket", refuse)
    with pytest.raises(StartError) as refusal:
        listen(Inet("::1", 8080))
    assert refusal.value.status == os.EX_UNAVAILABLE
    assert str(refusal.value).startswith("[::1]:8080: cannot assign address; this machine has that version of IP")


def test_a_name_that_does_not_resolve_says_so(listen: Open) -> None:
    with pytest.raises(StartError) as refusal:
        listen(Inet("no-such-host.invalid", 8080))
    assert refusal.value.status == os.EX_UNAVAILABLE
    assert str(refusal.value).startswith("no-such-host.invalid:8080: cannot resolve the name: ")


def test_a_port_without_permission_is_refused_with_77(listen: Open) -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if os.geteuid() != 0 or lowest <= 1:
        pytest.skip("takes root, and a system that keeps port 1 for it")
    os.seteuid(65534)
    try:
        with pytest.raises(StartError) as refusal:
            listen(Inet("127.0.0.1", 1))
    finally:
        os.seteuid(0)
    assert refusal.value.status == os.EX_NOPERM
    assert str(refusal.value).startswith("127.0.0.1:1: no permission; ")


def test_a_name_stands_for_its_first_address(listen: Open) -> None:
    first = socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)[0][4][0]
    assert inet(listen(Inet("localhost", 0))).host == first


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="takes IPv6")
def test_both_versions_of_ip_may_listen_on_all_addresses_of_one_port(listen: Open) -> None:
    four = listen(Inet("0.0.0.0", 0))
    six = listen(Inet("::", inet(four).port))
    assert str(inet(six)) == f"[::]:{inet(four).port}"


def test_an_address_given_twice_is_opened_once(listen: Open) -> None:
    assert len(listen(ANY_PORT, ANY_PORT).addresses) == 1


def test_a_unix_socket_is_shared_and_has_its_mode(listen: Open, tmp_path: Path) -> None:
    address = Unix(f"{tmp_path}/socket")
    listeners = listen(address, slots=4, unix_mode=0o606)
    (listener,) = all_sockets(listeners)
    assert listeners.addresses == (address,)
    assert all(listeners.for_slot(slot, 4) == (listener,) for slot in range(4))
    assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o606
    with connected(address):
        accept_one([listener]).close()
    assert names(tmp_path) == ["socket"]


@pytest.mark.parametrize("umask", [0, 0o777])
def test_its_mode_is_there_from_the_beginning_so_that_no_other_file_is_given_it(
    listen: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    monkeypatch.delattr(os, "chmod")
    before = os.umask(umask)
    try:
        listen(Unix(f"{tmp_path}/socket"), unix_mode=0o606)
    finally:
        assert os.umask(before) == umask
    assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o606


def test_a_unix_socket_is_taken_over_by_a_reload_and_unlinked_when_dropped(listen: Open, tmp_path: Path) -> None:
    address = Unix(f"{tmp_path}/socket")
    old = listen(address)
    new = listen(address, ANY_PORT, previous=old)
    old.close_dropped(new)
    assert not refused(address)
    new.close_dropped(listen(ANY_PORT, previous=new))
    assert names(tmp_path) == []


def test_a_reload_may_add_a_unix_socket_beside_another(listen: Open, tmp_path: Path) -> None:
    one, other = Unix(f"{tmp_path}/one"), Unix(f"{tmp_path}/other")
    listeners = listen(one, other, previous=listen(one))
    assert listeners.addresses == (one, other)
    for address, sock in zip((one, other), all_sockets(listeners), strict=True):
        with connected(address):
            accept_one([sock]).close()


@pytest.mark.parametrize("how", ["removed", "left by a dead server"])
def test_a_unix_socket_whose_file_is_no_longer_ours_is_bound_anew_by_a_reload(
    listen: Open, tmp_path: Path, how: str
) -> None:
    address = Unix(f"{tmp_path}/socket")
    old = listen(address)
    (tmp_path / "socket").unlink()
    if how != "removed":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{tmp_path}/socket")
    new = listen(address, previous=old.reachable())
    old.close_dropped(new)
    assert [each.fileno() for each in all_sockets(old)] == [-1]
    with connected(address):
        accept_one(all_sockets(new)).close()
    assert new.reachable() == new


def test_a_unix_socket_that_a_dead_server_left_is_replaced(listen: Open, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/socket")
    listen(Unix(f"{tmp_path}/socket"))
    assert not refused(Unix(f"{tmp_path}/socket"))


def test_what_a_server_of_the_same_number_left_half_bound_is_replaced(listen: Open, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/.{os.getpid()}")
    listen(Unix(f"{tmp_path}/socket"))
    assert names(tmp_path) == ["socket"]


def test_the_unix_socket_of_a_live_server_is_left_alone(listen: Open, tmp_path: Path) -> None:
    address = Unix(f"{tmp_path}/socket")
    first = listen(address, backlog=1)
    waiting = [connected(address), connected(address)]  # its queue is full now
    with pytest.raises(StartError) as refusal:
        listen(address)
    assert refusal.value.status == os.EX_UNAVAILABLE
    assert str(refusal.value).startswith(f"{address}: address in use; ")
    for client in waiting:
        accept_one(all_sockets(first)).close()
        client.close()


def test_a_file_that_is_no_socket_is_left_alone(listen: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(StartError) as refusal:
        listen(Unix(f"{tmp_path}/file"))
    assert refusal.value.status == os.EX_CANTCREAT
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("path", ["missing/socket", "x" * 107 + "/socket"])
def test_a_unix_socket_that_can_not_be_created_is_refused_with_73(listen: Open, tmp_path: Path, path: str) -> None:
    with pytest.raises(StartError) as refusal:
        listen(Unix(f"{tmp_path}/{path}"))
    assert refusal.value.status == os.EX_CANTCREAT
    assert str(refusal.value).startswith(f"unix:{tmp_path}/{path}: cannot create the socket: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be two users")
def test_a_dead_socket_of_another_user_in_a_sticky_folder_stays_and_nothing_is_left_behind(listen: Open) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as dead:
        Path(folder).chmod(0o1777)
        dead.bind(f"{folder}/socket")
        Path(f"{folder}/socket").chmod(0o777)
        before = open_descriptors()
        os.seteuid(65534)
        try:
            with pytest.raises(StartError) as refusal:
                listen(Unix(f"{folder}/socket"))
        finally:
            os.seteuid(0)
        assert refusal.value.status == os.EX_CANTCREAT
        assert names(folder) == ["socket"]
        assert open_descriptors() == before


def test_passed_sockets_are_listened_on_by_their_names_by_all_slots(listen: Open) -> None:
    web, admin = foreign(Passed("web")), foreign(Passed("admin"))
    listeners = listen(Passed("web"), slots=3, previous=passing(web, admin))
    assert listeners.addresses == web.bound
    assert [listeners.for_slot(slot, 3) for slot in range(3)] == [web.sockets] * 3
    with connected(listeners.addresses[0]), accept_one(list(web.sockets)) as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_passed_socket_may_be_of_multipath_tcp_which_has_not_all_options(listen: Open) -> None:
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
    except OSError:
        pytest.skip("takes MPTCP")
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    listeners = listen(Passed("web"), previous=passing(Listener(Passed("web"), (sock,))))
    assert not refused(listeners.addresses[0])


def test_without_a_name_all_passed_sockets_are_listened_on_but_none_of_a_number(listen: Open) -> None:
    web, admin, number = foreign(Passed("web")), foreign(Passed("admin")), foreign(Descriptor(9))
    listeners = listen(Passed(), previous=passing(web, admin, number))
    assert listeners.addresses == (*web.bound, *admin.bound)
    assert listen(Descriptor(9), previous=listeners).addresses == number.bound


def test_the_backlog_and_the_file_of_a_passed_socket_are_left_alone(listen: Open, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.listen(0)
        address = Unix(str(tmp_path / "socket"))
        listeners = listen(Passed("web"), backlog=64, previous=passing(Listener(Passed("web"), (sock,))))
        assert listeners.addresses == (address,)
        with connected(address), socket.socket(socket.AF_UNIX) as second:
            second.settimeout(0)
            with pytest.raises(BlockingIOError):  # no room
                second.connect(address.path)
        listeners.close()
    assert names(tmp_path) == ["socket"]


def test_a_socket_of_a_number_has_no_name_to_be_told(listen: Open) -> None:
    given = passing(foreign(Descriptor(9)))
    with pytest.raises(StartError, match="systemd:x: systemd has passed no socket"):
        listen(Passed("x"), previous=given)
    given.close()


@pytest.mark.parametrize(
    ("wanted", "passed", "problem"),
    [
        (Passed("x"), (), "systemd:x: systemd has passed no socket; start the service by its socket unit"),
        (Passed(), (), "systemd: systemd has passed no socket; start the service by its socket unit"),
        (Passed("x"), ("www", "b"), "systemd:x: systemd has passed b and www, none of that name; see FileDescriptorName="),
        (Descriptor(9), ("b",), "fd:9: the service was not started with it; restart it with that socket"),
    ],
)  # fmt: skip
def test_what_was_not_passed_is_a_mistake_that_names_what_was(
    listen: Open, wanted: Address, passed: tuple[str, ...], problem: str
) -> None:
    given = passing(*(foreign(Passed(name)) for name in passed))
    with pytest.raises(StartError) as refusal:
        listen(wanted, previous=given)
    assert refusal.value.status == os.EX_CONFIG
    assert str(refusal.value).startswith(problem)
    given.close()


@pytest.mark.parametrize(
    ("cap", "warning"),
    [
        ("128\n", "backlog 1024 is cut to 128 by the kernel; to have it all: sysctl -w net.core.somaxconn=1024"),
        ("1024\n", None),
        ("4096\n", None),
        ("", None),
    ],
)
def test_a_backlog_that_the_kernel_cuts_is_warned_of(tmp_path: Path, cap: str, warning: str | None) -> None:
    (tmp_path / "somaxconn").write_text(cap)
    assert backlog_warning(1024, str(tmp_path / "somaxconn")) == warning


def test_a_cap_that_can_not_be_read_is_no_warning() -> None:
    assert backlog_warning(1024, "/nowhere") is None
