"""The master's side of the molds: real small processes that answer as a mold does, or don't."""

import os
import socket
from collections.abc import Callable, Iterator
from signal import SIGSTOP

import pytest

from prefork.config.schema import Config
from prefork.ipc.channel import Channel, Failed, Fork, Forked, ForkFailed, Message, Ready, RecycleMe
from prefork.ipc.scoreboard import Scoreboard
from prefork.ipc.seat import Seat
from prefork.logs.files import LogFiles
from prefork.logs.log import Log
from prefork.master.binding import SocketOptions, open_listeners
from prefork.master.crew import Crew
from prefork.master.generation import Generation
from prefork.master.molds import Molds
from prefork.master.poller import Poller
from prefork.run.mold import next_message
from tests.process.waiting import until
from tests.unit.descriptors import none_from

PID = 4711  # nobody looks for it here
Behave = Callable[[Channel], object]


def no_work(_seat: Seat) -> None:
    pytest.fail("no worker is forked here")


class Office:
    """The molds, and what they told: (key, pid) of the forked, (key, reason, status) of the failed."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.log = Log("master", "info")
        self.scoreboard = Scoreboard()
        self.molds = Molds(Crew(self.poller, self.scoreboard, self.log), self.log)
        self.forked: list[tuple[int, int]] = []
        self.failed: list[tuple[int, str, int]] = []
        self.unready: list[Failed] = []
        self.channels: list[Channel] = []
        self.on_failure: Callable[[int], object] = lambda _key: None
        self.molds.on_forked = self._on_forked
        self.molds.on_failed = self._on_failed
        self.molds.on_unready = lambda _names, failed: self.unready.append(failed)

    def ask(self, behave: Behave, *keys: int, generation: int = 1) -> None:
        listeners = open_listeners((), SocketOptions(1), accept="shared", slots=1)

        def be_mold(seat: Seat) -> None:
            behave(seat.channel)

        made = Generation(generation, Config(), 1, listeners, LogFiles(), no_work, be_mold)
        for key in keys:
            self.molds.ask(made, key)

    def turn_until(self, condition: Callable[[], object]) -> None:
        def found() -> object:
            if not condition():
                self.poller.turn()
            return condition()

        self.poller.keep_time(Soon())
        until(found, "what the molds tell")

    def turn_until_none_is_left(self) -> None:
        self.turn_until(lambda: not self.molds.processes)

    def close(self) -> None:
        self.molds.keep_only(None)
        self.turn_until_none_is_left()
        for each in self.channels:
            each.close()
        self.poller.close()
        os.close(self.scoreboard.fd)

    def _on_forked(self, key: int, pid: int, channel: Channel) -> None:
        self.forked.append((key, pid))
        self.channels.append(channel)

    def _on_failed(self, key: int, reason: str, status: int) -> None:
        self.failed.append((key, reason, status))
        self.on_failure(key)


class Soon:
    """Somebody who lets no turn last."""

    def next_deadline(self) -> float:
        return 0.001

    def expire(self, now: float) -> None:
        pass


@pytest.fixture
def office() -> Iterator[Office]:
    opened = Office()
    yield opened
    opened.close()


def answering(*answers: Message) -> Behave:
    """Return what a mold does that answers the first requests so, and then no more."""

    def behave(channel: Channel) -> None:
        channel.send(Ready())
        for answer in answers:
            received = next_message(channel)
            assert received is not None
            assert received[0] == Fork()
            os.close(received[1][0])
            channel.send(answer)
        next_message(channel)
        next_message(channel)

    return behave


def stopped(channel: Channel) -> None:
    channel.send(Ready())
    os.kill(os.getpid(), SIGSTOP)


def test_a_mold_is_started_with_the_first_worker_and_forks_one_after_the_other(office: Office) -> None:
    office.ask(answering(Forked(PID), Forked(PID + 1), Forked(PID + 2)), 5, 3, 4)
    assert len(office.molds.processes) == 1
    assert (office.molds.awaited, office.molds.forking, office.molds.is_ready(1)) == (True, False, False)
    office.turn_until(lambda: len(office.forked) == 3)
    assert office.forked == [(5, PID), (3, PID + 1), (4, PID + 2)]
    assert (office.molds.awaited, office.molds.forking, office.molds.is_ready(1)) == (False, False, True)


def test_a_mold_that_has_nothing_to_do_forks_at_once(office: Office) -> None:
    office.ask(answering(Forked(PID), Forked(PID + 1)), 1)
    office.turn_until(lambda: office.forked)
    office.ask(answering(), 2)
    assert office.molds.forking
    office.turn_until(lambda: len(office.forked) == 2)
    assert office.forked[1] == (2, PID + 1)
    assert len(office.molds.processes) == 1


def test_each_generation_has_its_own(office: Office) -> None:
    office.ask(answering(Forked(PID)), 1)
    office.ask(answering(Forked(PID + 1)), 2, generation=2)
    office.turn_until(lambda: len(office.forked) == 2)
    assert dict(office.forked) == {1: PID, 2: PID + 1}
    office.molds.keep_only(2)
    office.turn_until(lambda: set(office.molds.processes) == {2})


def test_while_one_of_several_forks_or_is_waited_for_that_is_so(office: Office) -> None:
    assert (office.molds.awaited, office.molds.forking) == (False, False)
    office.ask(answering(), 1)
    office.ask(answering(Forked(PID)), 2, generation=2)
    office.turn_until(lambda: office.forked and office.molds.is_ready(1))
    assert (office.molds.awaited, office.molds.forking) == (True, True)


def test_what_it_could_not_fork_has_failed_and_the_next_is_asked_for(office: Office) -> None:
    office.ask(answering(ForkFailed("no room"), Forked(PID)), 1, 2)
    office.turn_until(lambda: office.forked)
    assert (office.failed, office.forked) == ([(1, "can't fork: no room", 0)], [(2, PID)])


def test_what_the_system_refuses_when_it_is_asked_for_leaves_no_trace(office: Office) -> None:
    office.ask(answering(Forked(PID), Forked(PID + 1)), 1)
    office.turn_until(lambda: office.forked)
    with none_from(0), pytest.raises(OSError, match="Too many open files"):
        office.ask(answering(), 2)
    assert not office.molds.awaited
    assert not office.molds.withdraw(2)
    office.ask(answering(), 3)
    office.turn_until(lambda: len(office.forked) == 2)
    assert (office.forked, office.failed) == ([(1, PID), (3, PID + 1)], [])


def test_what_the_system_refuses_for_who_has_waited_has_failed(office: Office) -> None:
    office.ask(answering(Forked(PID)), 1, 2)
    with none_from(0):
        office.turn_until(lambda: len(office.failed) == 2)
    refused = "can't fork: Too many open files"
    assert office.failed == [(1, refused, 0), (2, refused, 0)]
    office.ask(answering(), 3)
    office.turn_until(lambda: office.forked)
    assert office.forked == [(3, PID)]


def test_a_mold_that_can_not_load_tells_why_to_all_that_wait(office: Office) -> None:
    office.ask(lambda channel: channel.send(Failed("shop: no", 65, ("line",))), 1, 2)
    office.turn_until(lambda: len(office.failed) == 2)
    assert office.failed == [(1, "shop: no", 65), (2, "shop: no", 65)]
    assert office.unready == [Failed("shop: no", 65, ("line",))]
    assert not office.molds.awaited


def test_a_mold_that_dies_fails_all_that_wait_and_the_next_to_be_asked_for_starts_another(
    office: Office, capfd: pytest.CaptureFixture[str]
) -> None:
    def behave(channel: Channel) -> None:
        channel.send(Ready())
        next_message(channel)
        os._exit(3)

    office.ask(behave, 1, 2)
    office.turn_until(lambda: len(office.failed) == 2)
    assert office.failed == [(1, "the mold: exit status 3", 0), (2, "the mold: exit status 3", 0)]
    assert office.unready == []
    assert "mold exited generation=1 " in capfd.readouterr().err
    office.ask(answering(Forked(PID)), 3)
    office.turn_until(lambda: office.forked)
    assert office.forked == [(3, PID)]
    office.molds.keep_only(None)
    office.turn_until_none_is_left()
    assert "mold exited" not in capfd.readouterr().err  # it was told to


def test_who_gives_up_meanwhile_is_told_only_what_is_still_asked_for(office: Office) -> None:
    office.on_failure = lambda _key: office.molds.withdraw(2)
    office.ask(lambda _channel: os._exit(3), 1, 2, 3)
    office.turn_until_none_is_left()
    assert [key for key, *_ in office.failed] == [1, 3]


def test_who_is_to_be_killed_while_the_mold_is_dead_fails_with_the_others(
    office: Office, capfd: pytest.CaptureFixture[str]
) -> None:
    office.on_failure = lambda key: [office.molds.kill_for(each, "crash loop") for each in range(key + 1, 4)]
    office.ask(lambda _channel: os._exit(3), 1, 2, 3)
    office.turn_until_none_is_left()
    assert [key for key, *_ in office.failed] == [1, 2, 3]
    assert "killing mold" not in capfd.readouterr().err


@pytest.mark.parametrize("behave", [stopped, answering()], ids=["stopped", "silent"])
def test_a_mold_that_does_not_fork_in_time_is_killed_for_all_that_wait(
    office: Office, behave: Behave, capfd: pytest.CaptureFixture[str]
) -> None:
    office.ask(behave, 1, 2)
    office.turn_until(lambda: office.molds.forking)
    assert office.molds.kill_for(1, "boot_timeout passed")
    assert office.molds.kill_for(2, "boot_timeout passed")
    assert not office.molds.kill_for(3, "boot_timeout passed")
    office.turn_until(lambda: len(office.failed) == 2)
    assert office.failed == [(1, "the mold: killed by SIGKILL", 0), (2, "the mold: killed by SIGKILL", 0)]
    assert capfd.readouterr().err.count('reason="boot_timeout passed"') == 1


def test_what_a_mold_forked_before_it_was_killed_has_failed_all_the_same(office: Office) -> None:
    office.ask(answering(), 1)
    office.turn_until(lambda: office.molds.forking)
    office.molds.kill_for(1, "boot_timeout passed")
    office.molds._on_message(1, Forked(PID))  # it was on its way
    assert office.forked == []
    office.turn_until(lambda: office.failed)
    assert office.failed == [(1, "the mold: killed by SIGKILL", 0)]


def test_who_only_waits_is_withdrawn_without_a_trace(office: Office) -> None:
    office.ask(answering(Forked(PID), Forked(PID + 1)), 1, 2, 3)
    assert office.molds.withdraw(2)
    assert not office.molds.withdraw(2)
    office.turn_until(lambda: len(office.forked) == 2)
    assert office.forked == [(1, PID), (3, PID + 1)]


def test_who_is_withdrawn_or_killed_for_is_nobody_else(office: Office) -> None:
    office.ask(answering(), 1)
    office.turn_until(lambda: office.molds.forking)
    office.ask(stopped, 2, generation=2)
    assert not office.molds.withdraw(3)
    assert not office.molds.kill_for(3, "boot_timeout passed")
    assert office.molds.withdraw(2)
    office.molds._on_message(1, Forked(PID))
    assert office.forked == [(1, PID)]


def test_of_one_that_is_withdrawn_while_it_is_forked_the_channel_is_closed(office: Office) -> None:
    def behave(channel: Channel) -> None:
        channel.send(Ready())
        received = next_message(channel)
        assert received is not None
        assert next_message(Channel(socket.socket(fileno=received[1][0]))) is None  # as the worker does, and ends
        channel.send(Forked(PID))
        next_message(channel)

    office.ask(behave, 1)
    office.turn_until(lambda: office.molds.forking)
    assert office.molds.withdraw(1)
    assert not office.molds.awaited
    done: list[bool] = []
    office.molds.on_done = lambda: done.append(office.molds.forking)
    office.turn_until(lambda: done)
    assert (office.forked, office.failed, done) == ([], [], [False])


def test_the_end_of_a_mold_is_the_end_of_its_forking(office: Office) -> None:
    office.ask(answering(), 1)
    office.turn_until(lambda: office.molds.forking)
    assert office.molds.withdraw(1)
    done: list[bool] = []
    office.molds.on_done = lambda: done.append(office.molds.forking)
    office.molds.keep_only(None)
    office.turn_until_none_is_left()
    assert (office.failed, done) == ([], [False])


def test_what_no_mold_says_is_logged(office: Office, capfd: pytest.CaptureFixture[str]) -> None:
    office.ask(answering(RecycleMe("old"), Forked(PID)), 1)
    office.turn_until(lambda: "unexpected message" in capfd.readouterr().err)


def test_a_mold_that_says_something_else_before_it_is_ready_is_waited_for(office: Office) -> None:
    def behave(channel: Channel) -> None:
        channel.send(RecycleMe("old"))
        answering(Forked(PID))(channel)

    office.ask(behave, 1)
    office.turn_until(lambda: office.forked)
    assert office.forked == [(1, PID)]


def test_a_mold_that_sends_what_is_no_message_is_killed_and_another_forks(
    office: Office, capfd: pytest.CaptureFixture[str]
) -> None:
    def behave(channel: Channel) -> None:
        channel.send(Ready())
        os.write(channel.fileno(), b"garbage")
        next_message(channel)
        next_message(channel)

    office.ask(behave, 1)
    office.turn_until(lambda: office.failed)
    assert office.failed == [(1, "the mold: killed by SIGKILL", 0)]
    assert capfd.readouterr().err.count('reason="malformed message in its channel"') == 1
    office.ask(answering(Forked(PID)), 2)
    office.turn_until(lambda: office.forked)


def test_in_a_mold_nothing_of_another_nor_of_the_master_is_open(office: Office) -> None:
    office.ask(answering(), 1)
    office.turn_until(lambda: office.molds.forking)
    office.ask(lambda channel: channel.send(Failed(str(sockets()), 0)), 2, generation=2)
    office.turn_until(lambda: office.unready)
    assert office.unready[0].reason == "1"  # its own channel


def sockets() -> int:
    found = 0
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            socket.socket(fileno=os.dup(fd)).close()
        except OSError:
            continue
        found += 1
    return found
