"""What is listened on: shared out, taken over and given up, with real sockets."""

import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from prefork.config.addresses import Inet, Passed, Unix
from prefork.master.listeners import Accept, file_identity
from tests.unit.master.listening import (
    ANY_PORT,
    Open,
    accept_one,
    all_sockets,
    connected,
    foreign,
    inet,
    names,
    passing,
    refused,
)


def test_slots_that_remain_serve_the_sockets_of_those_that_went(listen: Open) -> None:
    listeners = listen(ANY_PORT, slots=5)
    one, two, three, four, five = all_sockets(listeners)
    assert listeners.for_slot(0, 2) == (one, three, five)
    assert listeners.for_slot(1, 2) == (two, four)


@pytest.mark.parametrize(("before", "after"), [("reuseport", "shared"), ("shared", "reuseport")])
def test_another_accept_shares_the_same_sockets_out_differently(listen: Open, before: Accept, after: Accept) -> None:
    old = listen(ANY_PORT, accept=before, slots=2)
    with connected(inet(old)):
        new = listen(ANY_PORT, accept=after, slots=2, previous=old)
        old.close_dropped(new)
        assert set(all_sockets(old)) <= set(all_sockets(new))
        assert {each for slot in range(2) for each in new.for_slot(slot, 2)} == set(all_sockets(new))
        accept_one(all_sockets(new)).close()


def test_shared_every_slot_serves_all_that_there_are(listen: Open) -> None:
    old = listen(ANY_PORT, accept="reuseport", slots=3)
    new = listen(ANY_PORT, accept="shared", slots=3, previous=old)
    assert [new.for_slot(slot, 3) for slot in range(3)] == [tuple(all_sockets(old))] * 3


def test_a_reload_keeps_the_queue_of_what_stays_and_closes_what_is_dropped(listen: Open) -> None:
    old = listen(ANY_PORT, Inet("127.0.0.2", 0))
    stays, goes = old.addresses
    with connected(stays):
        new = listen(ANY_PORT, Inet("127.0.0.3", 0), previous=old)
        old.close_dropped(new)
        accept_one(all_sockets(new)).close()
    assert refused(goes)
    assert not refused(new.addresses[1])


def test_a_unix_socket_bound_anew_is_kept_when_its_reload_fails(listen: Open, tmp_path: Path) -> None:
    address = Unix(f"{tmp_path}/socket")
    old = listen(address)
    (tmp_path / "socket").unlink()
    new = listen(address, previous=old.reachable())
    kept = old.with_sockets_of(new)
    for each in (old, new):
        each.close_dropped(kept)
    assert all_sockets(kept) == all_sockets(new)
    assert [each.fileno() for each in all_sockets(old)] == [-1]
    with connected(address):
        accept_one(all_sockets(kept)).close()


def test_a_socket_that_somebody_else_put_in_our_place_is_not_unlinked(listen: Open, tmp_path: Path) -> None:
    ours = listen(Unix(f"{tmp_path}/socket"))
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(f"{tmp_path}/other")
        (tmp_path / "other").rename(tmp_path / "socket")
        ours.close()
        assert names(tmp_path) == ["socket"]


def test_of_a_socket_that_is_closed_the_inode_may_be_that_of_another_by_now(listen: Open, tmp_path: Path) -> None:
    ours = listen(Unix(f"{tmp_path}/socket")).members[0]
    ours.close()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(f"{tmp_path}/socket")
        replace(ours, file=file_identity(f"{tmp_path}/socket")).close()  # as ext4 has it, unless others create files
        assert names(tmp_path) == ["socket"]


def test_what_was_passed_outlives_a_reload_that_drops_it_and_may_be_asked_for_again(listen: Open) -> None:
    passed = foreign(Passed("web"))
    old = listen(Passed("web"), previous=passing(passed))
    new = listen(ANY_PORT, previous=old)
    old.close_dropped(new)
    again = listen(Passed(), previous=new)
    new.close_dropped(again)
    assert again.addresses == passed.bound
    assert not refused(passed.bound[0])
    address = passed.bound[0]
    again.close()
    assert refused(address)
