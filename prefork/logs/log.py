r"""Writes the log: one event, one line; one line never in two pieces.

The log goes to descriptor 2, each line with one write(2), so that processes that share the file in append mode never
mix their lines. What a peer sent can't forge a line or reach the terminal: whatever isn't plain is quoted and escaped.
Logging never stops the service: what can't be written is counted, and the next line that can says how many are missing.
Instead of lines it may be entries of systemd's journal, whose message is the line without what the journal knows
itself.

    2026-11-23T19:43:01.123+00:00 info master[812] worker ready slot=3 pid=812 generation=2 boot_ms=41
    2026-11-23T19:43:07.480+00:00 error master[812] reload failed kept=1 reason="hello.toml:12: workers: …"
"""

import os
import sys
import time
from collections.abc import Mapping
from typing import Final, Literal

from prefork.logs.journal import Journal, field

Level = Literal["error", "warning", "info", "debug"]

PRIORITY: Final[Mapping[Level, int]] = {"error": 3, "warning": 4, "info": 6, "debug": 7}  # as in syslog(3)
STDOUT, STDERR = 1, 2
FIELDS: Final[Mapping[str, str]] = {"slot": "WORKER", "pid": "WORKER_PID"}  # what they are called in the journal
LINE_BYTES = 4096  # PIPE_BUF: up to here a write to a pipe is not mixed with others (pipe(7))


class Log:
    """The log of one process. `level` is the least important level that is written; it may change at any time.

    Make it after LogFiles: whether descriptor 2 is systemd's journal is decided here. The journal keeps the time itself
    and wants the priority in front of the line (sd-daemon(3), systemd.exec(5) about JOURNAL_STREAM). With a `journal`
    there are no lines but entries.
    """

    def __init__(self, process: str, level: Level, journal: Journal | None = None) -> None:
        self.process = process
        self.level: Level = level
        self.journal = journal
        self._to_journal = _is_journal(STDERR, os.environ.get("JOURNAL_STREAM", ""))
        self._lost = 0
        self._torn = b""  # what ends a line that a full disk cut

    def error(self, event: str, /, **fields: object) -> None:
        """Write that someone must act."""
        self._write("error", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Write that someone should look."""
        self._write("warning", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Write that a state changed."""
        self._write("info", event, fields)

    def debug(self, event: str, /, **fields: object) -> None:
        """Write what only someone who looks for a fault wants to know."""
        self._write("debug", event, fields)

    def _write(self, level: Level, event: str, fields: Mapping[str, object]) -> None:
        if PRIORITY[level] > PRIORITY[self.level]:
            return
        if self._lost and self._is_written("warning", "log lines lost", {"count": self._lost}):
            self._lost = 0
        if not self._is_written(level, event, fields):
            self._lost += 1

    def _is_written(self, level: Level, event: str, fields: Mapping[str, object]) -> bool:
        text = " ".join([_escaped(event), *(f"{name}={_value(value)}" for name, value in fields.items())])
        if self.journal is not None:
            return self.journal.write(self._entry(self.journal, level, text, fields))
        start = f"<{PRIORITY[level]}>" if self._to_journal else f"{_timestamp(time.time_ns())} {level} "
        return self._is_line_written(_cut(f"{start}{self.process}[{os.getpid()}] {text}".encode()) + b"\n")

    def _is_line_written(self, line: bytes) -> bool:
        whole = self._torn + line
        try:
            written = os.write(STDERR, whole)
        except OSError:
            return False
        self._torn = b"" if written == len(whole) else b"\n"
        return not self._torn

    def _entry(self, journal: Journal, level: Level, text: str, fields: Mapping[str, object]) -> bytes:
        """Return the entry, with the place in the code that asked for it, four calls up."""
        caller = sys._getframe(4)  # noqa: SLF001 - inspect costs a stat(2) of each file
        named = {
            "MESSAGE": _cut(f"{self.process} {text}".encode()).decode(),
            "PRIORITY": PRIORITY[level],
            "CODE_FILE": caller.f_code.co_filename,
            "CODE_LINE": caller.f_lineno,
            "CODE_FUNC": caller.f_code.co_qualname,
        }
        named |= {FIELDS.get(name, name.upper()): _escaped(_text(value)) for name, value in fields.items()} | named
        return b"".join(field(name, value) for name, value in named.items()) + journal.process


def _timestamp(now_ns: int) -> str:
    """Return the moment in ISO 8601, UTC, to the millisecond."""
    seconds, ns = divmod(now_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ns // 1_000_000:03}+00:00"


def _value(value: object) -> str:
    """Return a value as one word, or quoted if it isn't one."""
    text = _text(value)
    is_word = text.isprintable() and not any(special in text for special in ' "=\\')
    return text if text and is_word else '"' + _escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _escaped(text: str) -> str:
    """Escape what isn't printable: controls, line separators, marks that change the writing direction, surrogates."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(line: bytes) -> bytes:
    """Return a line that with its end fits into LINE_BYTES, shortened between characters where it has to be."""
    if len(line) < LINE_BYTES:
        return line
    return line[: LINE_BYTES - len("…\n".encode())].decode(errors="ignore").encode() + "…".encode()


def _is_journal(fd: int, journal_stream: str) -> bool:
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"
