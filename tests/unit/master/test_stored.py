"""The fd store: what is sent to systemd, whose end is played here, and what comes back."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from prefork.config.addresses import Address, Inet, Passed, Unix
from prefork.logs.log import Log
from prefork.master.binding import SocketOptions, open_listeners
from prefork.master.listeners import Listener, Listeners
from prefork.master.stored import FdStore, is_stored, names, restored
from prefork.systemd import Notifier

LOG = Log("master", "info")
ANY_PORT = Inet("127.0.0.1", 0)


class Manager:
    """systemd's part: `stored` are the sockets by their names."""

    def __init__(self, path: Path) -> None:
        self.stored: dict[str, int] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)
        self.notifier = Notifier({"NOTIFY_SOCKET": str(path)})

    def hear(self) -> list[str]:
        """Do what was asked for since this was called last, and return it."""
        heard: list[str] = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, 4096, 1)
            except BlockingIOError:
                return heard
            what, name = data.decode().split("\n")
            name = name.removeprefix("FDNAME=")
            heard.append(f"{what} {name}")
            if what == "FDSTORE=1":
                self.stored[name] = fds[0]
            else:
                os.close(self.stored.pop(name))

    def passed(self) -> list[tuple[str, int]]:
        """Return what the next service is passed, in any order."""
        return [(name, os.dup(fd)) for name, fd in sorted(self.stored.items(), reverse=True)]

    def close(self) -> None:
        self._socket.close()
        self.notifier.close()
        for fd in self.stored.values():
            os.close(fd)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.close()


def listen(*addresses: Address, slots: int = 1, previous: Listeners | None = None) -> Listeners:
    return open_listeners(addresses, SocketOptions(8), accept="reuseport", slots=slots, previous=previous)


def crash(listeners: Listeners) -> None:
    """Close the sockets and leave the files, as the end of a process does."""
    for each in listeners.sockets:
        each.close()


def inodes(listeners: Listeners) -> list[int]:
    return [os.fstat(each.fileno()).st_ino for each in listeners.sockets]


def test_every_socket_has_a_name_that_systemd_takes(tmp_path: Path) -> None:
    unix = Unix(f"{tmp_path}/a:b %é")
    listeners = listen(Inet("::1", 0), unix, slots=2)
    six, seven, file = names(listeners)
    assert (six, seven) == ("prefork/[%3A%3A1]%3A0/0", "prefork/[%3A%3A1]%3A0/1")
    status = os.stat(unix.path)
    assert file == f"prefork/unix%3A{tmp_path}/a%3Ab%20%25%C3%A9/{status.st_dev}-{status.st_ino}"
    assert all(is_stored(each) for each in (six, seven, file))
    listeners.close()


def test_what_has_no_name_that_fits_and_what_is_of_others_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listeners = listen(Unix("é" * 40))  # each takes six characters in a name
    assert names(listeners) == {}
    assert names(Listeners("shared", (Listener(Passed("web"), listeners.sockets),))) == {}
    listeners.close()


def test_listeners_come_back_from_the_store_with_their_queues(manager: Manager, tmp_path: Path) -> None:
    unix = Unix(f"{tmp_path}/socket")
    store = FdStore(manager.notifier, 100, LOG)
    before = None
    for slots in (6, 12):  # the kernel queues ten datagrams
        before = listen(ANY_PORT, unix, slots=slots, previous=before)
        store.keep(before)
        manager.hear()
    assert before is not None
    expected, addresses = inodes(before), before.addresses
    assert isinstance(addresses[0], Inet)
    with socket.create_connection((addresses[0].host, addresses[0].port)):
        crash(before)
        members = restored(manager.passed(), [unix, ANY_PORT])
        after = listen(ANY_PORT, unix, slots=12, previous=Listeners("reuseport", members))
        assert (inodes(after), after.addresses) == (expected, addresses)
        for each in after.sockets:
            try:
                each.accept()[0].close()
                break
            except BlockingIOError:
                continue
        else:
            pytest.fail("nothing waited in any queue")
    after.close()
    assert not Path(unix.path).exists()


def test_what_is_wanted_no_more_is_closed_and_discarded(manager: Manager) -> None:
    gone = Inet("127.0.0.2", 0)
    before = listen(ANY_PORT, gone)
    FdStore(manager.notifier, 100, LOG).keep(before)
    manager.hear()
    crash(before)
    passed = manager.passed()
    members = restored(passed, [ANY_PORT])
    after = listen(ANY_PORT, previous=Listeners("reuseport", members))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(dict(passed)["prefork/127.0.0.2%3A0/0"])
    FdStore(manager.notifier, 0, LOG, list(dict(passed))).settle(after)
    assert manager.hear() == ["FDSTOREREMOVE=1 prefork/127.0.0.2%3A0/0"]
    after.close()


def test_a_unix_socket_whose_file_is_gone_is_no_use(manager: Manager, tmp_path: Path) -> None:
    unix = Unix(f"{tmp_path}/socket")
    before = listen(unix)
    FdStore(manager.notifier, 100, LOG).keep(before)
    manager.hear()
    before.close()
    assert restored(manager.passed(), [unix]) == ()
    again = listen(unix)
    assert restored(manager.passed(), [unix]) == ()  # its file is another's
    again.close()


def test_each_socket_is_sent_once_and_taken_back_by_its_name(manager: Manager) -> None:
    store = FdStore(manager.notifier, 3, LOG)
    two = listen(ANY_PORT, slots=2)
    store.settle(two)
    store.settle(two)
    assert manager.hear() == ["FDSTORE=1 prefork/127.0.0.1%3A0/0", "FDSTORE=1 prefork/127.0.0.1%3A0/1"]
    three = listen(ANY_PORT, slots=3, previous=two)
    store.keep(three)
    assert manager.hear() == ["FDSTORE=1 prefork/127.0.0.1%3A0/2"]
    other = listen(Inet("127.0.0.3", 0))
    store.settle(other)
    assert manager.hear()[-1] == "FDSTORE=1 prefork/127.0.0.3%3A0/0"
    assert list(manager.stored) == ["prefork/127.0.0.3%3A0/0"]
    three.close()
    other.close()


def test_without_a_store_nothing_is_said(manager: Manager, capfd: pytest.CaptureFixture[str]) -> None:
    listeners = listen(ANY_PORT)
    FdStore(manager.notifier, 0, LOG).settle(listeners)
    assert (manager.hear(), capfd.readouterr().err) == ([], "")
    listeners.close()


@pytest.mark.parametrize(
    ("capacity", "held", "left"),
    [(2, [], 3), (2, ["prefork/x/0"], 4), (1, ["prefork/x/0", "prefork/x/1"], 5)],  # the last was larger at its start
)
def test_a_store_that_is_too_small_takes_what_it_can(
    manager: Manager, capfd: pytest.CaptureFixture[str], capacity: int, held: list[str], left: int
) -> None:
    listeners = listen(ANY_PORT, slots=5)
    FdStore(manager.notifier, capacity, LOG, held).keep(listeners)
    assert len(manager.hear()) == 5 - left
    assert f'fd store is full left_out={left} hint="raise FileDescriptorStoreMax=2"' in capfd.readouterr().err
    listeners.close()


def test_what_could_not_be_said_is_said_the_next_time(manager: Manager, tmp_path: Path) -> None:
    listeners = listen(ANY_PORT)
    with closing(Notifier({"NOTIFY_SOCKET": str(tmp_path / "later")})) as notifier:
        deaf = FdStore(notifier, 9, LOG)
        deaf.settle(listeners)
        (tmp_path / "later").symlink_to(tmp_path / "notify")
        deaf.settle(listeners)
    assert manager.hear() == ["FDSTORE=1 prefork/127.0.0.1%3A0/0"]
    listeners.close()
