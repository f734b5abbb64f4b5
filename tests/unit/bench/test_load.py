"""What wrk prints is read as counts and troubles."""

import pytest

from tests.bench.errors import NoFigureError
from tests.bench.load import Count, parse

QUIET = """Running 2s test @ http://127.0.0.1:18080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   392.03us   39.16us   1.13ms   85.02%
    Req/Sec   159.80k     1.93k  161.67k    90.00%
  318029 requests in 2.00s, 47.32MB read
Requests/sec: 158934.50
Transfer/sec:     23.65MB
"""


def test_a_quiet_run_is_its_counts() -> None:
    assert parse(QUIET) == Count(318029, 158934.5)


def test_errors_that_happened_are_named_and_those_that_did_not_are_left_out() -> None:
    errors = "  Socket errors: connect 0, read 12, write 0, timeout 64\n  Non-2xx or 3xx responses: 5\n"
    count = parse(QUIET.replace("Requests/sec", errors + "Requests/sec"))
    assert count.trouble == "12 read errors, 64 timeout errors, 5 answers neither 2xx nor 3xx"


def test_a_run_without_a_report_is_no_figure() -> None:
    with pytest.raises(NoFigureError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:18080 Connection refused\n")
