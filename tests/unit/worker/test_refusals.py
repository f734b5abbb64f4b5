"""How often the log tells of what is refused, and that all of it is counted at once."""

import math
import re

import pytest

from prefork.http.messages import Limits, Peer, Response
from prefork.http.reasons import GIVEN_UP, REASONS
from prefork.http.service import Service
from prefork.ipc.scoreboard import Scoreboard
from prefork.logs.log import Log
from prefork.worker.refusals import QUIET, Refusals, tell_stranger

LINE_FEED = (400, "bare line feed")
HEADER = (GIVEN_UP, "TLS handshake failed")


class Refusing:
    """A service that refuses, and what is told of it."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.scoreboard = Scoreboard()
        self._service = Service(lambda _request, _peer, _content: Response(200), Limits())
        self._refusals = Refusals(self._service, self.scoreboard.take(), Log("worker", "info"))
        self._capfd = capfd

    def refuse(self, what: tuple[int, str], times: int = 1, address: bytes = b"192.0.2.1") -> None:
        for _ in range(times):
            self._service.count(*what, Peer(address))

    def told(self, now: float) -> list[tuple[str, int]]:
        """Return the reasons that are logged at this moment, with their counts."""
        self._refusals.tell(now)
        return [(reason, int(count)) for reason, count in re.findall(r'reason="(.*)" count=(\d+)', self.logged)]

    @property
    def logged(self) -> str:
        return self._capfd.readouterr().err


@pytest.fixture
def refusing(capfd: pytest.CaptureFixture[str]) -> Refusing:
    return Refusing(capfd)


def test_a_new_reason_is_told_at_once_and_then_in_sums(refusing: Refusing) -> None:
    refusing.refuse(LINE_FEED, 3)
    assert refusing.told(100.0) == [(LINE_FEED[1], 3)]
    for moment in (101.0, 102.0, 100.0 + QUIET - 0.001):
        refusing.refuse(LINE_FEED, 1000)
        assert refusing.told(moment) == []
    assert refusing.told(100.0 + QUIET) == [(LINE_FEED[1], 3000)]
    assert refusing.told(200.0) == []


def test_each_reason_has_its_own_turn(refusing: Refusing) -> None:
    refusing.refuse(LINE_FEED)
    assert refusing.told(100.0) == [(LINE_FEED[1], 1)]
    refusing.refuse(LINE_FEED)
    refusing.refuse(HEADER)
    assert refusing.told(101.0) == [(HEADER[1], 1)]
    assert refusing.told(100.0 + QUIET) == [(LINE_FEED[1], 1)]


def test_at_the_end_all_is_told(refusing: Refusing) -> None:
    refusing.refuse(LINE_FEED)
    refusing.told(100.0)
    refusing.refuse(LINE_FEED, 7)
    assert refusing.told(math.inf) == [(LINE_FEED[1], 7)]


def test_what_is_not_told_yet_is_counted_all_the_same(refusing: Refusing) -> None:
    for moment in (100.0, 101.0):
        refusing.refuse(LINE_FEED, 2)
        refusing.told(moment)
    assert refusing.scoreboard.counts()[REASONS.index(LINE_FEED)] == 4


def test_a_line_says_whose_the_last_was_and_where_there_was_one_the_status(refusing: Refusing) -> None:
    refusing.refuse(LINE_FEED, address=b"192.0.2.1")
    refusing.refuse(LINE_FEED, address=b"192.0.2.2")
    refusing.refuse(HEADER, address=b"192.0.2.3")
    refusing._refusals.tell(100.0)
    assert [line.partition("] ")[2] for line in refusing.logged.splitlines()] == [
        'requests refused status=400 reason="bare line feed" count=2 last=192.0.2.2',
        'connections given up reason="TLS handshake failed" count=1 last=192.0.2.3',
    ]


def test_a_line_names_the_key_that_the_limit_is_set_by(refusing: Refusing) -> None:
    refusing.refuse((413, "request body too large"))
    refusing.refuse((GIVEN_UP, "waited too long for what comes before HTTP"))
    refusing._refusals.tell(100.0)
    assert [line.rpartition(" ")[2] for line in refusing.logged.splitlines()] == [
        "key=limit_body",
        "key=handshake_timeout",
    ]


def test_who_is_not_believed_is_named_with_the_key_by_which_he_would_be(capfd: pytest.CaptureFixture[str]) -> None:
    tell_stranger(Log("worker-0", "info"), b"192.0.2.1", b"x-forwarded-for")
    assert capfd.readouterr().err.endswith(
        " not believed: no trusted proxy peer=192.0.2.1 field=x-forwarded-for key=forwarded_allow_ips\n"
    )
