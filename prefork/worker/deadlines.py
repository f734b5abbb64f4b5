"""Finds the connections that have waited too long.

No timer an object and no order to keep: each connection only notes since when it has waited, and once a tick all of
them are looked at, for 0.3 µs each.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from prefork.config.schema import Config
from prefork.http.waiting import Waiting
from prefork.worker.connection import Connection, Writing

Timeouts: TypeAlias = Mapping[Waiting | Writing, float]

RATED: Final = (Waiting.BODY, Writing.ANSWER)
LINGERING_TIMEOUT: Final = 2.0  # seconds; gunicorn's and half of nginx's


def timeouts(config: Config) -> Timeouts:
    """Return the timeout in seconds of each thing that a connection can wait for."""
    return {
        Waiting.REQUEST: config.keep_alive_timeout,
        Waiting.LAST: config.keep_alive_timeout,
        Waiting.HEAD: config.header_timeout,
        Waiting.BODY: config.body_timeout,
        Waiting.APPLICATION: config.request_timeout or math.inf,
        Waiting.NOTHING: config.write_timeout,
        Writing.ANSWER: config.write_timeout,
        Writing.LINGERING: LINGERING_TIMEOUT,
    }


def tick_of(timeouts: Iterable[float], hang_timeout: float) -> float:
    """Return how often to look and to beat, in seconds: so that a timeout is exceeded by a quarter at most."""
    return min(*timeouts, hang_timeout or math.inf) / 4


def expired(
    connections: Iterable[Connection], timeouts: Timeouts, now: float, min_data_rate: float = 0.0
) -> list[Connection]:
    """Return those that have waited for longer than they may, or are too slow; the caller expires them.

    A body, or an answer that is taken, may last for its timeout, and longer by a second for each `min_data_rate` bytes
    of it that have been, as with MinRate of httpd's mod_reqtimeout; 0 means for ever.
    """

    def is_due(each: Connection) -> bool:
        waiting_for = each.waiting_for
        timeout = timeouts[waiting_for]
        if waiting_for is Writing.ANSWER and now - each.since > timeout / 2 and not each.look(now, min_data_rate):
            return False  # nobody knows what it has taken: it has just moved, or the loop was kept from looking
        if now - each.since > timeout:
            return True
        is_rated = min_data_rate and waiting_for in RATED
        return bool(is_rated and now - each.begun > timeout + each.progress / min_data_rate)

    return [each for each in connections if is_due(each)]
