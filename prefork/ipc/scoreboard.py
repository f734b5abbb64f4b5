"""What each worker tells about itself all the time, in memory that it shares with the master and its siblings.

A fixed row of numbers for each worker's place, written by that worker alone, once a tick and with each connection that
it takes, so that a request costs nothing more; and notes of the requests that an application may hang on. Beside them
it counts what it refuses, by the numbers of the reasons; whoever has the row next counts on. The memory is a memfd: it
survives the upgrade of the master, whose children keep it mapped. What a worker writes may be anything; who reads it
must be able to stand that.
"""

import mmap
import os
import struct
from bisect import insort
from errno import ENOSPC
from typing import Final

ROWS: Final = 4096  # twice the most workers, and as many again that are retiring
COLUMNS: Final = 8  # of 8 bytes: one cache line a row
# ACCEPTING: the heartbeat, 0 when it accepts no more. STARTED: when it was forked, in nanoseconds of CLOCK_MONOTONIC.
# OPENING: connections before HTTP, which CONNECTIONS doesn't count. BUSY: since when a thread of the application is at
# the request that has kept one for the longest time, 0 for none.
HEARTBEAT, CONNECTIONS, REQUESTS, ACCEPTING, STARTED, OPENING, BUSY = range(7)
USED: Final = ROWS * COLUMNS  # the cell after all rows: how many, from the first, have ever been taken
# In bytes: where the notes begin, one for each row, after them the counts of each row, and notes of what keeps it BUSY.
LONGEST_NOTE: Final = 128
NOTES: Final = (USED + 1) * 8
COUNTS: Final = NOTES + ROWS * LONGEST_NOTE
# What is longer is cut, what is shorter filled up with NUL.
_write_note: Final = struct.Struct(f"{LONGEST_NOTE}s").pack_into
REASONS: Final = 64  # of 8 bytes; what is not written takes no memory
LONGEST: Final = COUNTS + ROWS * REASONS * 8
SIZE: Final = LONGEST + ROWS * LONGEST_NOTE  # bytes
USUAL: Final = 2.0  # seconds that a request may keep a thread before anybody is told
LARGEST: Final = 2**64 - 1


class Row:
    """A worker's row. Numbers are kept within 64 bits, the heartbeat in nanoseconds of CLOCK_MONOTONIC.

    Beside them it has a note: what the worker is doing, if that may take long.
    """

    __slots__ = ("_cells", "_counts", "_longest", "_note", "number")

    def __init__(
        self, number: int, cells: memoryview, note: memoryview, longest: memoryview, counts: memoryview
    ) -> None:
        self.number = number
        self._cells = cells
        self._note = note
        self._longest = longest
        self._counts = counts

    @property
    def beat(self) -> float:
        """The moment of the last heartbeat, in seconds of CLOCK_MONOTONIC."""
        return self[HEARTBEAT] / 1e9

    @property
    def noted(self) -> str:
        """The method and the target of the request in the note, empty where there is none."""
        return _asked(self._note)

    @property
    def longest(self) -> str:
        """Those of the request that keeps a thread BUSY."""
        return _asked(self._longest)

    def busy_for(self, now: float) -> float:
        """Return for how many seconds that has been, by CLOCK_MONOTONIC; 0.0 for what is usual."""
        seconds = now - self[BUSY] / 1e9
        return seconds if self[BUSY] and seconds > USUAL else 0.0

    def note(self, head: bytes) -> None:
        """Write the beginning of a request's head over the note; an empty one ends it."""
        _write_note(self._note, 0, head)

    def note_longest(self, head: bytes, since: float) -> None:
        """Write the beginning of the head of what keeps a thread, since a moment; 0.0 and an empty one end it."""
        _write_note(self._longest, 0, head)
        self[BUSY] = int(since * 1e9)

    def count(self, reason: int, times: int) -> None:
        """Count what was refused for the reason of this number."""
        self._counts[reason] = min(self._counts[reason] + times, LARGEST)

    def __getitem__(self, column: int) -> int:
        return int(self._cells[column])

    def __setitem__(self, column: int, value: int) -> None:
        self._cells[column] = min(value, LARGEST)


class Scoreboard:
    """All rows. The memory goes with the last process that has it mapped."""

    def __init__(self, fd: int | None = None) -> None:
        """Make a scoreboard, or map that of a descriptor, which is the scoreboard's then."""
        self.fd = os.memfd_create("prefork-scoreboard") if fd is None else fd
        if os.fstat(self.fd).st_size < SIZE:  # never less: workers of another version may have it mapped (SIGBUS)
            os.ftruncate(self.fd, SIZE)
        memory = memoryview(mmap.mmap(self.fd, SIZE))
        self._cells = memory[:NOTES].cast("Q")
        self._notes = memory[NOTES:COUNTS]
        self._counts = memory[COUNTS:LONGEST].cast("Q")
        self._longest = memory[LONGEST:SIZE]
        self._free = list(range(ROWS))

    def close(self) -> None:
        """Close the descriptor; whoever has it mapped goes on."""
        os.close(self.fd)

    def take(self, number: int | None = None) -> Row:
        """Return the first row that nobody has, with nothing in it; or the one of this number, as it is.

        Raises:
            OSError: everybody has one.
        """
        if not self._free:
            raise OSError(ENOSPC, "the scoreboard is full")
        taken = self._free[0] if number is None else number
        self._free.remove(taken)
        self._cells[USED] = max(self._cells[USED], taken + 1)
        return self.row(taken)

    def row(self, number: int) -> Row:
        """Return the row of this number, which somebody else has taken."""
        cells = self._cells[number * COLUMNS : (number + 1) * COLUMNS]
        place = slice(number * LONGEST_NOTE, (number + 1) * LONGEST_NOTE)
        counts = self._counts[number * REASONS : (number + 1) * REASONS]
        return Row(number, cells, self._notes[place], self._longest[place], counts)

    def give_back(self, row: Row) -> None:
        """Empty the row of a dead worker but for its counts, and let it be taken again."""
        for column in range(COLUMNS):
            row[column] = 0
        row.note(b"")
        row.note_longest(b"", 0.0)
        insort(self._free, row.number)

    def connections(self, since: int) -> list[int]:
        """Return how many connections each worker has that was accepting at that moment or later, in nanoseconds."""
        end = self._cells[USED] * COLUMNS
        accepting = self._cells[ACCEPTING:end:COLUMNS].tolist()
        counts = self._cells[CONNECTIONS:end:COLUMNS].tolist()
        return [count for count, moment in zip(counts, accepting, strict=True) if moment >= since]

    def counts(self) -> list[int]:
        """Return how often each reason was counted, by all workers that there have ever been."""
        end = self._cells[USED] * REASONS
        return [min(LARGEST, sum(self._counts[each:end:REASONS])) for each in range(REASONS)]


def _asked(note: memoryview) -> str:
    asked, _, _ = note.tobytes().partition(b"\0")[0].partition(b" HTTP/")
    return asked.decode("ascii", "backslashreplace")
