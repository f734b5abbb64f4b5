"""What can become of a request or of a connection, and how often it did."""

from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Final, Self

MOST_NOTES: Final = 10  # for each outcome


class Outcome(Enum):
    """Each request ends as one of the first five, or is held; the others are about connections."""

    OK = "ok"
    REFUSED = "refused"  # nobody accepted the connection, or it was sent after the server was told to stop
    LOST = "lost"  # sent on an open connection, and not a byte of an answer; a pipelined batch counts once
    TRUNCATED = "truncated"  # an answer that ends too early
    WRONG = "wrong"  # another answer than is due
    CLOSED_IDLE = "closed while idle"  # between two requests, and no answer had announced it
    HELD = "held by a killed worker"  # lost, truncated or closed while idle with the worker that served the connection
    ANNOUNCED = "announced"  # an answer said `Connection: close`, and nobody had asked for that


TROUBLES: Final = (Outcome.REFUSED, Outcome.LOST, Outcome.TRUNCATED, Outcome.WRONG, Outcome.CLOSED_IDLE)
CUT: Final = (Outcome.LOST, Outcome.TRUNCATED, Outcome.CLOSED_IDLE)  # what may come of the end of a worker


class Tally:
    """A count of each outcome, and of the first of each what exactly was seen."""

    def __init__(self) -> None:
        self._counts = Counter[Outcome]()
        self._notes: dict[Outcome, list[str]] = {outcome: [] for outcome in Outcome}

    def __getitem__(self, outcome: Outcome) -> int:
        return self._counts[outcome]

    def __iadd__(self, other: "Tally") -> Self:
        self._counts += other._counts
        for outcome, texts in other._notes.items():
            for text in texts:
                self.note(outcome, text)
        return self

    def count(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self._counts[outcome] += 1

    def note(self, outcome: Outcome, text: str) -> None:
        """Keep a note, as long as there aren't too many."""
        if len(self._notes[outcome]) < MOST_NOTES:
            self._notes[outcome].append(text)

    def notes(self, outcomes: Iterable[Outcome]) -> list[str]:
        """Return the notes about these outcomes."""
        return [text for outcome in outcomes for text in self._notes[outcome]]
