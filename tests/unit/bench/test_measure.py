"""The kernel's texts are read in its units, and only comparable readings are compared."""

import pytest

from tests.bench.errors import NoFigureError
from tests.bench.measure import parse_pss, parse_schedstat, spent_ns

ROLLUP = """55dafb7ce000-7fffe111c000 ---p 00000000 00:00 0                          [rollup]
Rss:                4064 kB
Pss:                1168 kB
Pss_Dirty:           557 kB
"""


def test_schedstat_is_read_in_nanoseconds() -> None:
    assert parse_schedstat("16587015 2287200 60\n") == 16_587_015


def test_pss_is_read_in_bytes() -> None:
    assert parse_pss(ROLLUP) == 1168 * 1024


def test_a_thread_that_appeared_counts_from_zero() -> None:
    assert spent_ns({1: 100, 2: 50}, {1: 150, 2: 50, 3: 7}) == 57


def test_a_thread_that_ended_makes_the_difference_void() -> None:
    with pytest.raises(NoFigureError, match="1 of its threads"):
        spent_ns({1: 100, 2: 50}, {1: 150})
