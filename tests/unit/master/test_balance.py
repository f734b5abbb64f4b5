"""Which connections are to go where.

However the counts are: none is lost or made, nobody falls below its share, nobody both gives and takes.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.master.balance import TOLERANCE, Move, moves

many_counts = st.dictionaries(
    st.integers(), st.integers(0, 10_000) | st.integers(0, 2**64 - 1), min_size=1, max_size=64
)


def moved(counts: dict[int, int]) -> dict[int, int]:
    after = dict(counts)
    for move in moves(counts):
        after[move.donor] -= move.count
        after[move.heir] += move.count
    return after


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, []),
        ({1: 0}, []),
        ({1: 1000}, []),
        ({1: 1, 2: 0}, []),
        ({1: 2, 2: 0}, [Move(1, 2, 1)]),
        ({1: 260, 2: 250, 3: 240}, []),
        ({1: 250, 2: 250, 3: 0, 4: 0}, [Move(1, 4, 125), Move(2, 3, 125)]),
        ({1: 5, 2: 3, 3: 3, 4: 3}, [Move(1, 2, 1)]),
        ({1: 300, 2: 0, 3: 0}, [Move(1, 3, 100), Move(1, 2, 100)]),
    ],
)
def test_what_is_too_much_goes_to_those_who_have_less(counts: dict[int, int], expected: list[Move]) -> None:
    assert moves(counts) == expected


@given(many_counts)
def test_afterwards_the_counts_are_even(counts: dict[int, int]) -> None:
    after = moved(counts)
    assert sum(after.values()) == sum(counts.values())
    uneven = max(after.values()) - min(after.values()) > 1
    assert not uneven or max(counts.values()) * len(counts) <= TOLERANCE * sum(counts.values())


@given(many_counts)
def test_nobody_gives_what_is_its_share(counts: dict[int, int]) -> None:
    share, after = sum(counts.values()) // len(counts), moved(counts)
    assert all(after[move.donor] >= share for move in moves(counts))


@given(many_counts)
def test_nobody_gives_and_takes_and_there_are_few_moves(counts: dict[int, int]) -> None:
    found = moves(counts)
    assert all(move.count > 0 for move in found)
    assert {move.donor for move in found}.isdisjoint(move.heir for move in found)
    assert len(found) < len(counts)
