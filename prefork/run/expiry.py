"""Says once a day, and after each start and reload, which certificates somebody should renew."""

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

WARNED_BEFORE: Final = 21 * 86400.0  # seconds; certificates of 90 days are renewed when 30 are left
INTERVAL: Final = 86400.0  # seconds


class Certificate(Struct, frozen=True):
    """A certificate, by the paths of its chain and of its key; `names` are those it is for, `ends` since the epoch."""

    path: str
    key_path: str
    names: tuple[str, ...]
    ends: float

    def warnings(self, now: float) -> Iterator[str]:
        """Yield what somebody should see to; `now` is in seconds since the epoch."""
        day = datetime.fromtimestamp(self.ends, UTC).date()
        if now >= self.ends:
            yield f"expired on {day}"
        elif now >= self.ends - WARNED_BEFORE:
            yield f"expires on {day}"
        with suppress(OSError):
            if os.stat(self.key_path).st_mode & stat.S_IROTH:
                yield f"everybody may read its key, {self.key_path}"
        if not self.names:
            yield "has no subjectAltName: no client will accept it"


class Expiry:
    """The certificates of each generation that there is, of which the newest is looked at.

    `tell` is called with the path of one and what is wrong with it.
    """

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._certificates: Mapping[int, Sequence[Certificate]] = {}
        self._due: float | None = None

    def watch(self, generation: int, certificates: Sequence[Certificate]) -> None:
        """Look at these from now on."""
        self._certificates = {**self._certificates, generation: certificates}
        self._due = time.monotonic()

    def keep_only(self, generation: int) -> None:
        """Look at those of this one again, if it has not been the newest: no other is left."""
        self._certificates = {generation: self._certificates[generation]}

    # Timed, as the poller wants it.

    def next_deadline(self) -> float | None:
        return self._due

    def expire(self, now: float) -> None:
        """Look, where it is due."""
        if self._due is None or now < self._due:
            return
        self._due = now + INTERVAL
        for each in self._certificates[max(self._certificates)]:
            for warning in each.warnings(time.time()):
                self._tell(each.path, warning)
