"""Tells what was refused: each reason at once when it is new, then in sums, so that an attack fills no log."""

from collections import Counter
from typing import Final

from prefork.http.reasons import GIVEN_UP, KEYS_OF, number_of
from prefork.http.service import Service
from prefork.ipc.scoreboard import Row
from prefork.logs.log import Log

QUIET: Final = 10.0  # seconds between two lines of the same reason


def tell_stranger(log: Log, address: bytes, field: bytes) -> None:
    """Tell of who spoke as a proxy by this field, and isn't trusted."""
    log.info("not believed: no trusted proxy", peer=address, field=field, key="forwarded_allow_ips")


class Refusals:
    """What a worker has refused, counted in its row, and what of it the log doesn't know yet."""

    def __init__(self, service: Service, row: Row, log: Log) -> None:
        self._service = service
        self._row = row
        self._log = log
        self._untold: Counter[tuple[int, str]] = Counter()
        self._quiet_until: dict[tuple[int, str], float] = {}

    def tell(self, now: float) -> None:
        """Count what was refused since the last time, and log the reasons whose turn it is at this moment."""
        for (status, reason), count in self._service.refused.items():
            self._row.count(number_of(status, reason), count)
        self._untold.update(self._service.refused)
        self._service.refused.clear()
        for each in [each for each in self._untold if self._quiet_until.get(each, now) <= now]:
            self._quiet_until[each] = now + QUIET
            self._tell(*each, self._untold.pop(each))

    def _tell(self, status: int, reason: str, count: int) -> None:
        last = self._service.refused_last[status, reason].decode()
        bound = {"key": KEYS_OF[reason]} if reason in KEYS_OF else {}
        if status == GIVEN_UP:
            self._log.info("connections given up", reason=reason, count=count, last=last, **bound)
        else:
            self._log.info("requests refused", status=status, reason=reason, count=count, last=last, **bound)
