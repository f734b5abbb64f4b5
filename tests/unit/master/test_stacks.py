"""The stacks of a worker, line by line."""

import os
from collections.abc import Iterator

import pytest

from prefork.master.stacks import LONGEST_LINE, Stacks, stacks_pipe


@pytest.fixture
def ends() -> Iterator[tuple[Stacks, int]]:
    reader, writer = stacks_pipe()
    stacks = Stacks(reader)
    yield stacks, writer
    stacks.close()
    os.close(writer)


def test_only_whole_lines_are_told(ends: tuple[Stacks, int]) -> None:
    stacks, writer = ends
    assert stacks.read() == []
    os.write(writer, b"one\n\ntw")
    assert stacks.read() == ["one"]
    os.write(writer, b"o\n\xff\n")
    assert stacks.read() == ["two", "\ufffd"]


def test_of_a_stack_is_told_what_the_worker_did_and_not_whom_it_was_forked_from(ends: tuple[Stacks, int]) -> None:
    stacks, writer = ends
    own = [
        "Thread 0x1 (most recent call first):",
        '  File "/srv/shop.py", line 3 in app',
        "Current thread 0x2 (most recent call first):",
        '  File "/lib/prefork/run/roles.py", line 95 in _serve',
        '  File "/lib/prefork/run/roles.py", line 54 in be_worker',
    ]
    inherited = [
        '  File "/lib/prefork/master/forking.py", line 83 in work',
        '  File "/bin/prefork", line 8 in <module>',
    ]
    os.write(writer, "\n".join([*own, inherited[0], ""]).encode())
    assert stacks.read() == own
    os.write(writer, "\n".join([*inherited, *own, *inherited, ""]).encode())
    assert stacks.read() == own


def test_a_line_without_end_is_told_in_pieces(ends: tuple[Stacks, int]) -> None:
    stacks, writer = ends
    os.write(writer, b"x" * (LONGEST_LINE + 1))
    assert stacks.read() == ["x" * (LONGEST_LINE + 1)]


def test_what_is_too_much_for_the_pipe_does_not_block(ends: tuple[Stacks, int]) -> None:
    _, writer = ends
    assert os.write(writer, b"x" * 2**20) < 2**20
    with pytest.raises(BlockingIOError):
        os.write(writer, b"x")


def test_the_end_of_the_worker_is_told() -> None:
    reader, writer = stacks_pipe()
    os.close(writer)
    stacks = Stacks(reader)
    assert stacks.read() is None
    stacks.close()
