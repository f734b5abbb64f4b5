"""What one version passes on to the next: it comes out as it went in, or is refused with a reason."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, json
from msgspec.structs import replace

from prefork.config.addresses import Inet, Passed, Unix
from prefork.config.schema import Config
from prefork.config.schema import Hello as HelloConfig
from prefork.ipc.channel import Ready, channel_pair
from prefork.ipc.scoreboard import Scoreboard
from prefork.ipc.seat import Seat
from prefork.logs.files import LogFiles
from prefork.logs.log import STDERR, Log
from prefork.master.binding import SocketOptions, open_listeners
from prefork.master.control import HeldClient, HeldControl
from prefork.master.crew import Crew
from prefork.master.errors import StartError
from prefork.master.fleet import Ending, Fleet, Phase, Place, Wanted
from prefork.master.generation import Generation, Kept
from prefork.master.identity import Identity
from prefork.master.listeners import Listeners
from prefork.master.poller import Poller
from prefork.master.processes import Process
from prefork.master.stacks import Stacks, stacks_pipe
from prefork.master.state import (
    FORMAT,
    VARIABLE,
    HeldListener,
    HeldWorker,
    State,
    claim,
    dump,
    listeners_of,
    load,
    processes_of,
    read_state,
    state_of,
)
from prefork.version import VERSION

counts = st.integers(0, 2**40)
moments = st.floats(0, 1e12)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLACE: Mapping[str, st.SearchStrategy[object]] = {
    "key": counts,
    "slot": counts,
    "generation": counts,
    "phase": st.sampled_from(Phase),
    "failures": counts,
    "deadline": st.none() | moments,
    "worn": st.booleans(),
    "heirs": st.lists(counts, max_size=3).map(tuple),
    "leaves_by": st.none() | moments,
    "outlived": st.booleans(),
}
WANTED: Mapping[str, st.SearchStrategy[object]] = {
    "workers": counts,
    "generation": counts,
    "surge": counts,
    "boot_timeout": moments,
    "graceful_timeout": moments,
    "shutdown_delay": moments,
    "max_old_generations": counts,
    "max_spawn_failures": counts,
    "at_restart": st.lists(words, max_size=3).map(tuple),
}
wants = st.builds(Wanted, **WANTED)
FLEET: Mapping[str, st.SearchStrategy[object]] = {
    "wanted": wants,
    "places": st.lists(st.builds(Place, **PLACE), max_size=5).map(lambda some: {each.key: each for each in some}),
    "next_key": counts,
    "fallback": st.none() | wants,
    "proven": st.booleans(),
    "failures": counts,
    "announced": st.booleans(),
    "ending": st.none() | st.sampled_from(Ending),
    "ends_at": st.none() | moments,
    "reason": words,
    "status": counts,
}


def state(fleet: Fleet | None = None, config: Config | None = None, kept: Kept | None = None) -> State:
    return State(
        fleet=fleet or Fleet(Wanted(2)),
        newest=3,
        config=config or Config(),
        accept="shared",
        listeners=(),
        workers={},
        scoreboard=5,
        kept=kept or Kept(),
    )


def no_work(_seat: Seat) -> None:
    pytest.fail("no worker is forked here")


@given(fleet=st.builds(Fleet, **FLEET))
def test_a_fleet_comes_out_as_it_went_in(fleet: Fleet) -> None:
    assert load(dump(state(fleet))).fleet == fleet


@pytest.mark.parametrize(("value", "fields"), [(Fleet, FLEET), (Place, PLACE), (Wanted, WANTED)])
def test_every_field_of_a_fleet_is_among_the_examples(value: type[Struct], fields: Mapping[str, object]) -> None:
    assert set(value.__struct_fields__) == set(fields)


def test_a_configuration_comes_out_as_it_went_in() -> None:
    config = Config(
        bind=(Inet("::1", 80), Inet("example.org", 0), Unix("a b.sock")),
        workers="auto",
        user="www-data",
        hello=HelloConfig(body="Grüß Gott\n", status=418),
    )
    assert load(dump(state(config=config))).config == config


def test_what_the_composition_root_keeps_comes_out_as_it_went_in() -> None:
    kept = Kept("hello.toml", Identity(33, 34, "www-data"), "pid", {"NOTIFY_SOCKET": "@x"}, {"pid_file": 7})
    assert load(dump(state(kept=kept))).kept == kept


def test_text_that_is_no_utf8_can_not_be_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        dump(state(kept=Kept(path="\udcff")))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"format": 99, "version": "9.9"}', f"version 9.9 wrote format 99, {VERSION} reads {FORMAT}"),
        (json.encode({"format": FORMAT, "version": "9.9"}), "missing required field `fleet`"),
        (b"{", "truncated"),
        (b"", "truncated"),
    ],
    ids=["another format", "incomplete", "cut", "empty"],
)
def test_a_state_that_is_not_understood_is_refused_with_status_70(data: bytes, problem: str) -> None:
    with pytest.raises(StartError) as caught:
        load(data)
    assert caught.value.status == os.EX_SOFTWARE
    assert problem in caught.value.problem


def test_fields_of_a_newer_version_with_the_same_format_are_no_obstacle() -> None:
    newer = json.decode(dump(state())) | {"version": "9.9", "colour": "blue"}
    assert load(json.encode(newer)).version == "9.9"


def test_a_state_is_read_from_its_descriptor_and_taken_out_of_the_environment() -> None:
    fd = os.memfd_create("state")
    os.write(fd, dump(state()))
    environ = {VARIABLE: str(fd), "HOME": "/"}
    assert read_state(environ) == state()
    assert environ == {"HOME": "/"}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_without_an_upgrade_there_is_no_state() -> None:
    assert read_state({"HOME": "/"}) is None


@pytest.mark.parametrize("number", ["", "x", "-1", "1000000"])
def test_a_state_that_is_not_there_is_refused_with_status_70(number: str) -> None:
    with pytest.raises(StartError) as caught:
        read_state({VARIABLE: number})
    assert caught.value.status == os.EX_SOFTWARE


def test_descriptors_lead_to_the_same_sockets_rows_and_processes_again(tmp_path: Path) -> None:
    addresses = (Inet("127.0.0.1", 0), Unix(str(tmp_path / "socket")))
    members = open_listeners(addresses, SocketOptions(1), accept="reuseport", slots=2).members
    listeners = Listeners("reuseport", members, passed=members[:1])
    files = LogFiles(access_log=str(tmp_path / "access"))
    kept = Kept(descriptors={"pid_file": os.open(os.devnull, os.O_RDONLY)})
    generation = Generation(2, Config(bind=addresses), 2, listeners, files, no_work)
    scoreboard = Scoreboard()
    ours, theirs = channel_pair()
    dropped = socket.socket()
    row = scoreboard.take()
    row[2] = 4711
    given = {listeners.sockets[0], dropped}
    pidfd = os.pidfd_open(os.getpid())
    dropped.close()
    poller = Poller()
    reader, writer = stacks_pipe()
    crew = Crew(poller, scoreboard, Log("master", "info"))
    crew.processes[8] = Process(os.getpid(), pidfd, ours, row, given, Stacks(reader))

    written = dump(state_of(Fleet(Wanted(2)), 3, generation, crew, kept))
    before = listeners.addresses
    for each in (*listeners.sockets, ours._socket):
        each.detach()  # as execve(2) does: the objects go, the descriptors stay

    state = load(written)
    assert (state.log_paths, state.access_fd, state.kept) == (files.paths, files.access_fd, kept)
    again = listeners_of(state)
    assert (again.addresses, again.passed) == (before, again.members[:1])
    assert [each.file for each in again.members] == [each.file for each in listeners.members]
    assert {each.gettimeout() for each in again.sockets} == {0}
    ((key, found),) = processes_of(state, again, Scoreboard(scoreboard.fd))
    assert (key, found.pid, found.row.number, found.row[2]) == (8, os.getpid(), row.number, 4711)
    assert found.listeners == {again.sockets[0]}
    os.write(writer, b"a stack\n")
    assert found.stacks.read() == ["a stack"]
    found.channel.send(Ready())
    assert theirs.receive() == (Ready(), [])

    poller.close()
    again.close()
    found.forget()
    theirs.close()
    files.close()
    for fd in (pidfd, scoreboard.fd, writer, *kept.descriptors.values()):
        os.close(fd)


def test_all_that_a_state_names_is_passed_on_but_the_standard_streams() -> None:
    control = HeldControl("control.sock", 18, None, (HeldClient(19, None, b"", b""),))
    full = replace(
        state(kept=Kept(descriptors={"pid_file": 17}, control=control)),
        listeners=(HeldListener(Inet("::1", 80), (10, 11)),),
        passed=(HeldListener(Passed("http"), (12,)),),
        workers={1: HeldWorker(pid=1, channel=13, row=0, listeners=(10,), stacks=14)},
        scoreboard=15,
        access_fd=16,
    )
    assert sorted(full.descriptors()) == list(range(10, 20))
    assert sorted(replace(full, access_fd=STDERR).descriptors()) == sorted({*range(10, 20)} - {16})


def test_what_was_claimed_is_inherited_no_further() -> None:
    fd = os.memfd_create("scoreboard", 0)
    assert os.get_inheritable(fd)
    claim(replace(state(), scoreboard=fd))
    assert not os.get_inheritable(fd)
    os.close(fd)
