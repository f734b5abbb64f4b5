"""The date of answers; those of log lines are seen in test_lines.py."""

from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from prefork.worker.dates import imf_fixdate


@given(st.integers(0, 4 * 10**9))
def test_the_date_is_an_imf_fixdate_in_any_locale_rfc9110_5_6_7(wall: int) -> None:
    assert imf_fixdate(wall) == formatdate(wall, usegmt=True).encode()


def test_the_example_of_the_standard_rfc9110_5_6_7() -> None:
    assert imf_fixdate(784111777.9) == b"Sun, 06 Nov 1994 08:49:37 GMT"
