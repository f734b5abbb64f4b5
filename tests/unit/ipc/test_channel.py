"""Messages and descriptors through a real socketpair."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.ipc.channel import (
    LARGEST_MESSAGE,
    MOST_DESCRIPTORS,
    Channel,
    Failed,
    Listen,
    MalformedError,
    Message,
    Ready,
    Reopen,
    Retire,
    channel_pair,
    close_all,
)
from prefork.ipc.streams import STDERR
from tests.unit.descriptors import lowest_free, none_from, open_descriptors

Pair = tuple[Channel, Channel]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = channel_pair()
    yield ends
    for end in ends:
        end.close()


messages = st.sampled_from([Ready(), Listen(), Reopen()]) | st.builds(
    Retire, timeout=st.floats(0, 10**6), for_good=st.booleans()
)


@given(sent=st.lists(messages, max_size=5))
def test_what_is_sent_is_received_message_by_message_in_order(sent: list[Message]) -> None:
    ours, theirs = channel_pair()
    for message in sent:
        ours.send(message)
    assert [theirs.receive() for _ in sent] == [(message, []) for message in sent]
    ours.close()
    theirs.close()


def test_both_ends_may_speak(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(Ready())
    ours.send(Retire(1.5, for_good=True))
    assert ours.receive() == (Ready(), [])
    assert theirs.receive() == (Retire(1.5, for_good=True), [])


def test_no_descriptor_that_comes_along_has_the_number_of_a_stream(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(Listen(), [ours.fileno()] * 2)
    kept = os.dup(0)
    os.close(0)
    try:
        received = theirs.receive()
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert received is not None
    assert min(received[1]) > STDERR
    close_all(received[1])


def test_what_comes_along_is_missing_where_it_would_be_a_stream_and_there_is_no_other_number_for_it(pair: Pair) -> None:
    one, other = socket.socketpair()
    pair[0].send(Listen(), [one.fileno()] * 2)
    one.close()
    kept = os.dup(0)
    try:
        with none_from(lowest_free() + 1):
            os.close(0)
            received = pair[1].receive()
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert (received, pair[1].is_short) == ((Listen(), []), True)
    with other:
        other.settimeout(5)
        assert other.recv(1) == b""


def test_without_a_message_receiving_does_not_block(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        pair[0].receive()


def test_descriptors_come_along_as_copies_in_their_order(pair: Pair) -> None:
    pipes = [os.pipe() for _ in range(3)]
    pair[0].send(Listen(), [writer for _, writer in pipes])
    received = pair[1].receive()
    assert received is not None
    message, copies = received
    assert message == Listen()
    for (reader, writer), copy in zip(pipes, copies, strict=True):
        os.write(copy, b"x")
        assert os.read(reader, 1) == b"x"
        for fd in (reader, writer, copy):
            os.close(fd)


def test_descriptors_that_come_along_are_closed_on_exec(pair: Pair) -> None:
    pair[0].send(Listen(), [0, 1])
    received = pair[1].receive()
    assert received is not None
    assert [os.get_inheritable(fd) for fd in received[1]] == [False, False]
    for fd in received[1]:
        os.close(fd)


def test_as_many_descriptors_as_the_kernel_allows_fit_into_one_message(pair: Pair) -> None:
    pair[0].send(Reopen(), [pair[0].fileno()] * MOST_DESCRIPTORS)
    received = pair[1].receive()
    assert received is not None
    assert len(received[1]) == MOST_DESCRIPTORS
    for fd in received[1]:
        os.close(fd)


def test_descriptors_that_there_is_no_room_for_are_told_to_be_missing_in_that_message_alone(pair: Pair) -> None:
    pair[0].send(Reopen(), [pair[0].fileno()] * 2)
    pair[0].send(Ready())
    free = lowest_free()
    with none_from(free + 1):
        received = pair[1].receive()
    assert (received, pair[1].is_short) == ((Reopen(), [free]), True)
    os.close(free)
    assert (pair[1].receive(), pair[1].is_short) == ((Ready(), []), False)


def test_the_end_of_the_other_side_is_told_after_its_last_message(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(Ready())
    theirs.close()
    assert ours.receive() == (Ready(), [])
    assert ours.receive() is None


def test_the_end_is_told_too_when_the_other_side_left_a_message_unread(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(Listen())
    theirs.close()
    assert ours.receive() is None


def test_what_the_other_side_said_at_last_is_told_too_when_it_left_a_message_unread(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(Listen())
    theirs.send(Failed("no such module", 65))
    theirs.close()
    assert ours.receive() == (Failed("no such module", 65), [])
    assert ours.receive() is None


def test_sending_to_nobody_is_an_error_and_no_signal(pair: Pair) -> None:
    pair[1].close()
    with pytest.raises(BrokenPipeError):
        pair[0].send(Ready())


def test_sending_to_somebody_who_never_reads_does_not_block(pair: Pair) -> None:
    def send_without_end() -> None:
        while True:
            pair[0].send(Ready())

    with pytest.raises(BlockingIOError):
        send_without_end()


MALFORMED = {
    "no bytes": b"",
    "no msgpack": b"GET / HTTP/1.1",
    "no such message": b"\x81\xa4type\xa4None",
    "the beginning of one": b"\x82\xa4type\xa6Failed",
    "no number": b"\x82\xa4type\xa6Forked\xa3pid\xa1x",
    "no pid": b"\x82\xa4type\xa6Forked\xa3pid\xcf" + b"\xff" * 8,
    "no UTF-8": b"\x82\xa4type\xa9RecycleMe\xa6reason\xa1\xff",
    "nested without end": b"\x82\xa4type\xa5Ready\xa1x" + b"\x91" * 15_000,
    "more than fits": b"\x81\xa4type\xa5Ready".ljust(2 * LARGEST_MESSAGE),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_message_is_told_apart_and_its_descriptors_are_closed(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    before = open_descriptors()
    socket.send_fds(theirs, [data], [0, 1])
    theirs.send(b"\x81\xa4type\xa5Ready")
    with pytest.raises(MalformedError):
        channel.receive()
    assert len(open_descriptors()) == len(before)
    assert channel.receive() == (Ready(), [])
    theirs.close()
    assert channel.receive() is None
    channel.close()


@given(data=st.binary(max_size=100))
def test_whatever_is_received_is_a_message_or_malformed(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    theirs.send(data)
    with suppress(MalformedError):
        assert channel.receive() is not None
    channel.close()
    theirs.close()
