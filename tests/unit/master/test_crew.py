"""The master's side of its workers: what they are told."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from prefork.ipc.channel import (
    MOST_DESCRIPTORS,
    Adopt,
    Channel,
    Listen,
    Message,
    Ready,
    Reopen,
    Retire,
    Share,
    channel_pair,
    close_all,
)
from prefork.ipc.scoreboard import ROWS, Scoreboard
from prefork.logs.log import Log
from prefork.master.crew import Crew
from prefork.master.poller import Poller
from prefork.master.processes import Process
from prefork.master.stacks import Stacks
from tests.unit.descriptors import open_descriptors


@pytest.fixture
def crew() -> Iterator[Crew]:
    poller, scoreboard = Poller(), Scoreboard()
    yield Crew(poller, scoreboard, Log("master", "info"))
    poller.close()
    scoreboard.close()


def place(crew: Crew, *keys: int) -> Channel:
    """Have one worker in these places, which is only its channel; return its end."""
    ours, theirs = channel_pair()
    process = Process(0, -1, ours, crew.scoreboard.take(), set(), Stacks(os.open(os.devnull, os.O_RDONLY)))
    crew.processes.update(dict.fromkeys(keys, process))
    return theirs


def test_a_worker_for_whom_no_row_is_left_can_not_be_forked_and_costs_nothing(crew: Crew) -> None:
    rows = [crew.scoreboard.take() for _ in range(ROWS)]
    before = open_descriptors()
    with pytest.raises(OSError, match="scoreboard"):
        crew.fork(0, lambda _seat: None, (), slot=0, generation=1)
    assert open_descriptors() == before
    crew.scoreboard.give_back(rows[7])
    assert crew.scoreboard.take().number == 7


def test_a_worker_is_told_to_leave_however_many_there_are_to_take_its_connections(crew: Crew) -> None:
    leaving = place(crew, 0)
    heirs = range(1, MOST_DESCRIPTORS + 50)
    staying = place(crew, *heirs)
    crew.hand_over(0, heirs, Retire(1.0, for_good=False))
    received = leaving.receive()
    assert received is not None
    message, fds = received
    assert (message, len(fds)) == (Retire(1.0, for_good=False), MOST_DESCRIPTORS)
    close_all(fds)
    for each in leaving, staying, crew.processes[0].channel, crew.processes[1].channel:
        each.close()
    for key in 0, 1:
        crew.processes[key].stacks.close()


def fill(crew: Crew, key: int) -> None:
    """Tell a worker, which doesn't read, as much as there is room for."""
    while crew.tell(key, Reopen()):
        pass


def drain(worker: Channel) -> None:
    """Read what it was told by `fill`."""
    with suppress(BlockingIOError):
        while worker.receive() == (Reopen(), []):
            pass


def let_go(crew: Crew, *ends: Channel) -> None:
    for each in ends:
        each.close()
    for process in crew.processes.values():
        process.channel.close()
        process.stacks.close()


def told(worker: Channel) -> list[tuple[Message, int]]:
    """Return what a worker has been told by now, each with how many descriptors."""
    messages: list[tuple[Message, int]] = []
    with suppress(BlockingIOError):
        while received := worker.receive():
            close_all(received[1])
            messages.append((received[0], len(received[1])))
    return messages


def test_a_worker_is_given_each_socket_once_and_never_more_than_a_message_holds(crew: Crew) -> None:
    worker = place(crew, 0)
    with ExitStack() as at_end:
        sockets = [at_end.enter_context(socket.socket()) for _ in range(MOST_DESCRIPTORS + 2)]
        crew.listen(0, sockets[:1])
        crew.listen(0, sockets[:1])
        assert told(worker) == [(Listen(), 1)]
        crew.listen(0, sockets)
        assert told(worker) == [(Listen(), MOST_DESCRIPTORS), (Listen(), 1)]
        assert crew.processes[0].listeners == set(sockets)
    let_go(crew, worker)


def test_who_leaves_and_his_heirs_are_given_the_ends_of_handovers(crew: Crew) -> None:
    leaving, *heirs = (place(crew, key) for key in range(3))
    crew.hand_over(0, [1, 2], Retire(1.0, for_good=False))
    assert told(leaving) == [(Retire(1.0, for_good=False), 2)]
    assert [told(each) for each in heirs] == [[(Adopt(), 1)]] * 2
    let_go(crew, leaving, *heirs)


@pytest.mark.parametrize("has_unread", [False, True])
def test_who_has_ended_is_told_nothing_and_nothing_is_said_of_it(
    crew: Crew, capfd: pytest.CaptureFixture[str], *, has_unread: bool
) -> None:
    worker = place(crew, 0)
    if has_unread:
        crew.tell(0, Reopen())
    worker.close()
    assert not crew.tell(0, Reopen())
    assert capfd.readouterr().err == ""
    let_go(crew)


def test_who_can_not_be_told_is_in_the_log(crew: Crew, capfd: pytest.CaptureFixture[str]) -> None:
    worker = place(crew, 0)
    fill(crew, 0)
    assert 'not told pid=0 message=Reopen reason="Resource temporarily unavailable"' in capfd.readouterr().err
    let_go(crew, worker)


def test_who_is_to_share_is_given_the_sockets_all_the_same_and_is_heard_afterwards(crew: Crew) -> None:
    heard: list[tuple[int, Message]] = []
    crew.on_message = lambda key, message: heard.append((key, message))
    worker = place(crew, 0)
    fill(crew, 0)
    with socket.socket() as listener:
        crew.listen(0, [listener])
        crew.hand_over(0, [], Share(3))
        drain(worker)
        crew._poller.turn()
    assert told(worker) == [(Listen(), 1), (Share(3), 0)]
    worker.send(Ready())
    crew._poller.turn()
    assert heard == [(0, Ready())]
    crew._poller.forget(crew.processes[0].channel.fileno())
    let_go(crew, worker)


def test_no_connection_is_handed_over_to_one_that_can_not_be_told_of_it(crew: Crew) -> None:
    leaving, staying = place(crew, 0), place(crew, 1)
    fill(crew, 1)
    crew.hand_over(0, [1], Retire(1.0, for_good=False))
    assert leaving.receive() == (Retire(1.0, for_good=False), [])
    let_go(crew, leaving, staying)


def test_who_can_not_be_told_to_leave_is_told_as_soon_as_he_can(crew: Crew) -> None:
    leaving = place(crew, 0)
    fill(crew, 0)
    crew.hand_over(0, [], Retire(1.0, for_good=True))
    drain(leaving)
    crew._poller.turn()
    assert leaving.receive() == (Retire(1.0, for_good=True), [])
    crew._poller.forget(crew.processes[0].channel.fileno())
    let_go(crew, leaving)


def test_sockets_that_can_not_be_given_are_given_in_their_order_as_soon_as_they_can(crew: Crew) -> None:
    worker = place(crew, 0)
    fill(crew, 0)
    with socket.socket() as one, socket.socket() as other:
        crew.listen(0, [one])
        crew.listen(0, [one, other])
        one.close()  # its address is no longer wanted
        drain(worker)
        crew._poller.turn()
        received = [worker.receive() for _ in range(2)]
    assert [each and (each[0], len(each[1])) for each in received] == [(Listen(), 0), (Listen(), 1)]
    close_all(fd for each in received if each for fd in each[1])
    crew._poller.forget(crew.processes[0].channel.fileno())
    let_go(crew, worker)


def test_who_is_told_to_leave_is_given_no_sockets_that_it_could_not_be_given_before(crew: Crew) -> None:
    worker = place(crew, 0)
    fill(crew, 0)
    with socket.socket() as listener:
        crew.listen(0, [listener])
        crew.hand_over(0, [], Retire(1.0, for_good=True))
        drain(worker)
        crew._poller.turn()
    assert worker.receive() == (Retire(1.0, for_good=True), [])
    with pytest.raises(BlockingIOError):
        worker.receive()
    crew._poller.forget(crew.processes[0].channel.fileno())
    let_go(crew, worker)
