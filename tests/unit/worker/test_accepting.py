"""Accepting from a real listener, with and without descriptors to accept with."""

import os
import re
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from prefork.logs.log import Log
from prefork.worker import accepting
from prefork.worker.accepting import Acceptor, defers
from prefork.worker.loop import READABLE, Loop
from tests.unit.descriptors import lowest_free, none_from, open_descriptors

Stderr = pytest.CaptureFixture[str]


class Door:
    """A listener in a loop, those who came in, and those who knock."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0)
        self.address = self.listener.getsockname()
        self.inside: list[tuple[socket.SocketType, object]] = []
        self.read: list[bool] = []
        self.clients: list[socket.socket] = []
        self.pause = 0.0
        self.is_full = False
        self.full_with = 1000

    def open(self) -> Acceptor:
        return Acceptor(
            self.listener,
            self.loop,
            self.accepted,
            Log("worker", "info"),
            step_aside=lambda: self.pause,
            is_full=lambda: self.is_full or len(self.inside) >= self.full_with,
        )

    def accepted(self, sock: socket.SocketType, address: object, *, to_read: bool) -> None:
        self.inside.append((sock, address))
        self.read.append(to_read)

    def knock(self) -> socket.socket:
        client = socket.create_connection(self.address, timeout=5)
        self.clients.append(client)
        return client

    def is_watched(self) -> bool:
        return self.loop._handlers[self.listener.fileno()] is not None

    def close(self) -> None:
        self.loop.close()
        self.listener.close()
        for each in self.clients + [sock for sock, _ in self.inside]:
            each.close()


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    door = Door()
    yield door
    door.close()


def test_who_knocks_while_it_stops_listening_is_let_in(door: Door) -> None:
    acceptor = door.open()
    forget = door.loop.forget

    def knock_and_forget(fd: int) -> None:
        door.knock()
        forget(fd)

    door.loop.forget = knock_and_forget  # type: ignore[method-assign]  # a client that comes just then
    acceptor.accept_all()
    acceptor.leave()
    assert len(door.inside) == 1


def test_who_come_faster_than_they_are_let_in_do_not_keep_it_from_leaving(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "MOST_AT_END", 10)

    def let_in(sock: socket.SocketType, address: object, *, to_read: bool) -> None:
        Door.accepted(door, sock, address, to_read=to_read)
        door.knock()

    door.accepted = let_in  # type: ignore[method-assign]
    acceptor = door.open()
    door.knock()
    with none_from(lowest_free() + 100):
        acceptor.accept_all()
    acceptor.leave()
    assert len(door.inside) == 10


def test_who_knocks_is_let_in_with_the_peers_address(door: Door) -> None:
    acceptor = door.open()
    client = door.knock()
    acceptor.on_readable(READABLE)
    assert [address for _, address in door.inside] == [client.getsockname()]
    assert not os.get_blocking(door.inside[0][0].fileno())
    assert door.is_watched()
    acceptor.leave()


def test_a_wake_for_nobody_does_nothing(door: Door) -> None:
    acceptor = door.open()
    acceptor.on_readable(READABLE)
    assert door.inside == []
    assert door.is_watched()
    acceptor.leave()


def test_who_is_ahead_leaves_the_next_ones_to_others_for_a_moment(door: Door) -> None:
    door.pause = 0.01
    acceptor = door.open()
    door.knock()
    acceptor.on_readable(READABLE)
    assert not door.is_watched()
    door.loop.call_at(door.loop.now + 3600, lambda: None)
    door.loop.after_turn.append(lambda: setattr(door.loop, "running", not door.is_watched()))
    door.loop.run()
    assert door.is_watched()
    acceptor.leave()


def test_who_is_ahead_does_not_come_back_too_soon(door: Door) -> None:
    door.pause = 3600.0
    acceptor = door.open()
    door.knock()
    acceptor.on_readable(READABLE)
    for moment in door.loop.now, door.loop.now + 3500.0:
        door.loop.call_at(moment, lambda: None)
    door.loop.after_turn.append(lambda: setattr(door.loop, "running", False))
    door.loop.run()
    assert not door.is_watched()
    acceptor.leave()


def test_whom_the_last_one_fills_listens_no_more(door: Door) -> None:
    acceptor = door.open()
    door.full_with = 1
    for _ in range(2):
        door.knock()
    acceptor.on_readable(READABLE)
    assert (len(door.inside), door.is_watched()) == (1, False)
    acceptor.leave()


def test_who_knocks_while_it_is_full_waits_until_there_is_room(door: Door) -> None:
    door.is_full = True
    acceptor = door.open()
    door.knock()
    acceptor.on_readable(READABLE)
    acceptor.look()
    assert (door.inside, door.is_watched()) == ([], False)
    door.loop.call_at(door.loop.now + 3600, lambda: None)
    door.loop.call_at(door.loop.now + 0.1, lambda: setattr(door, "is_full", False))
    door.loop.after_turn.append(lambda: setattr(door.loop, "running", not door.inside))
    watched_when: set[bool] = set()
    door.loop.after_turn.append(lambda: watched_when.add(door.is_full) if door.is_watched() else None)
    door.loop.run()
    assert len(door.inside) == 1
    assert watched_when == {False}, "it would be woken for connections instead of others that have room"
    acceptor.leave()


def test_looks_while_it_is_full_change_nothing(door: Door) -> None:
    door.is_full = True
    acceptor = door.open()
    acceptor.on_readable(READABLE)
    timers = len(door.loop._timers)
    for _ in range(3):
        acceptor.look()
    assert (len(door.loop._timers), door.is_watched()) == (timers, False)
    acceptor.leave()


def test_who_has_left_during_a_pause_does_not_come_back(door: Door) -> None:
    door.pause = 0.01
    acceptor = door.open()
    door.knock()
    acceptor.on_readable(READABLE)
    acceptor.leave()
    acceptor.resume()
    assert not door.is_watched()


def test_a_look_lets_in_who_was_announced_to_another(door: Door) -> None:
    acceptor = door.open()
    client = door.knock()
    acceptor.look()
    acceptor.look()
    assert [address for _, address in door.inside] == [client.getsockname()]
    acceptor.leave()


@pytest.mark.parametrize("deferring", [True, False])
def test_who_comes_with_something_is_read_from_at_once_but_not_before_leaving(door: Door, *, deferring: bool) -> None:
    door.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60 if deferring else 0)
    acceptor = door.open()
    for accept in (partial(acceptor.on_readable, READABLE), acceptor.accept_all):
        door.knock().send(b"G")
        accept()
    assert door.read == [deferring, False]
    acceptor.leave()


def test_a_unix_socket_is_read_from_when_the_loop_tells(door: Door, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        assert not defers(listener)


def test_before_leaving_all_who_wait_are_let_in(door: Door) -> None:
    acceptor = door.open()
    for _ in range(5):
        door.knock()
    acceptor.accept_all()
    acceptor.leave()
    assert len(door.inside) == 5


def test_leaving_gives_all_descriptors_back() -> None:
    before = open_descriptors()
    door = Door()
    acceptor = door.open()
    acceptor.resume()
    acceptor.leave()
    assert not door.is_watched()
    assert door.listener.fileno() == -1
    door.close()
    assert open_descriptors() == before


def test_without_descriptors_one_is_turned_away_and_the_listener_left_alone(door: Door) -> None:
    acceptor = door.open()
    first, second = door.knock(), door.knock()
    with none_from(lowest_free()):
        acceptor.on_readable(READABLE)
    assert first.recv(1) == b""
    assert door.inside == []
    assert not door.is_watched()
    acceptor.look()
    assert door.is_watched()
    assert [address for _, address in door.inside] == [second.getsockname()]
    acceptor.leave()


def test_without_descriptors_all_that_come_are_turned_away_one_by_one(door: Door) -> None:
    acceptor = door.open()
    clients = [door.knock() for _ in range(3)]
    with none_from(lowest_free()):
        for client in clients:
            acceptor.on_readable(READABLE)
            assert client.recv(1) == b""
    assert door.inside == []
    acceptor.leave()


def test_a_reserve_that_is_given_up_is_closed_once(door: Door) -> None:
    acceptor = door.open()
    reserve = acceptor._reserve
    acceptor.give_up_reserve()
    os.dup2(door.listener.fileno(), reserve)  # somebody else has got its number
    acceptor.give_up_reserve()
    acceptor.leave()
    os.close(reserve)


def test_how_many_were_turned_away_is_said_once(door: Door, capfd: Stderr) -> None:
    acceptor = door.open()
    for _ in range(2):
        door.knock()
        with none_from(lowest_free()):
            acceptor.on_readable(READABLE)
    acceptor.resume()
    acceptor.resume()
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(r' error worker\[\d+\] "?out of descriptors: connections turned away"? count=2 hint=', line)
    acceptor.leave()


def test_a_listener_that_accepts_nothing_any_more_is_left_alone_and_the_log_says_why(door: Door, capfd: Stderr) -> None:
    acceptor = door.open()
    door.listener.shutdown(socket.SHUT_RDWR)
    acceptor.on_readable(READABLE)
    assert not door.is_watched()
    acceptor.resume()
    assert door.is_watched()
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(r' error worker\[\d+\] can\'t accept connections reason="Invalid argument"$', line)
    acceptor.leave()


def test_without_even_a_reserve_the_waiting_wait_on(door: Door) -> None:
    client = door.knock()
    with none_from(lowest_free()):
        acceptor = door.open()
        acceptor.on_readable(READABLE)
        acceptor.on_readable(READABLE)
        assert not door.is_watched()
    acceptor.resume()
    acceptor.on_readable(READABLE)
    assert [address for _, address in door.inside] == [client.getsockname()]
    acceptor.leave()


def test_leaving_without_a_reserve_is_leaving_too(door: Door) -> None:
    with none_from(lowest_free()):
        acceptor = door.open()
        acceptor.leave()
    assert not door.is_watched()
