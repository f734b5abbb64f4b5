r"""Writes the log and the access log: one event, one line; one line never in two pieces.

The log goes to descriptor 2, each line with one write(2), so that processes that share the file in append mode never
mix their lines. What a peer sent can't forge a line or reach the terminal: whatever isn't plain is quoted and escaped.
Logging never stops the service: what can't be written is counted, and the next line that can says how many are missing.
Instead of lines it may be entries of systemd's journal, whose message is the line without what the journal knows
itself.

    2026-11-23T19:43:01.123+00:00 info master[812] worker ready slot=3 pid=812 generation=2 boot_ms=41
    2026-11-23T19:43:07.480+00:00 error master[812] reload failed kept=1 reason="hello.toml:12: workers: …"

The files behind it are opened by the master while it may, and on USR1 opened again at the same numbers; the master
sends the fresh descriptors to its workers, who need no right to open them. None of them blocks: a reader of a pipe that
doesn't read loses lines, and the service doesn't wait for it.
"""

import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal, Self

from prefork.journal import Entries, Journal, field

Level = Literal["error", "warning", "info", "debug"]

PRIORITY: Final[Mapping[Level, int]] = {"error": 3, "warning": 4, "info": 6, "debug": 7}  # as in syslog(3)
STDOUT, STDERR = 1, 2
FIELDS: Final[Mapping[str, str]] = {"slot": "WORKER", "pid": "WORKER_PID"}  # what they are called in the journal
LINE_BYTES = 4096  # PIPE_BUF: up to here a write to a pipe is not mixed with others (pipe(7))
ACCESS_BYTES = 256 * 1024  # what may wait for a full disk or a slow reader
# Without O_NONBLOCK, to open a pipe that nobody reads would take until somebody does (fifo(7)).
FILE_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


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


class LogFiles:
    """The files of the log and of the access log, and the numbers they keep for life.

    `log` is a path, None where it stays at the stderr that the process has; `access_log` is a path, a descriptor that
    there is, or None. `access_fd` is where the access log is written, None when it has no file. Forked workers inherit
    all of it.

    Raises:
        OSError: A file can't be opened; its `filename` says which.
    """

    def __init__(self, log: str | None = None, access_log: str | int | None = None) -> None:
        self.paths: dict[int, str] = {}
        for fd in (STDOUT, STDERR):
            _unblock(fd)
        if isinstance(access_log, str):
            self.access_fd: int | None = _open(access_log)
            self.paths[self.access_fd] = access_log
        else:
            self.access_fd = access_log
        if log is not None:
            try:
                _replace(STDERR, _open(log))
            except OSError:
                self.close()
                raise
            self.paths[STDERR] = log

    @classmethod
    def taken_over(cls, paths: Mapping[int, str], access_fd: int | None) -> Self:
        """Return the files that this process has opened as another program, before an upgrade."""
        files = cls(access_log=access_fd)
        files.paths = dict(paths)
        return files

    def close(self) -> None:
        """Close the file of the access log, once another object has taken its place; descriptor 2 stays."""
        if self.access_fd is not None and self.access_fd in self.paths:
            os.close(self.access_fd)

    def reopen(self, log: Log) -> tuple[int, ...]:
        """Open every file afresh, after it was renamed; one that can't be opened goes on as it is, which is logged.

        Returns the descriptors that a worker needs to adopt the same files; they stay ours.
        """
        for fd, path in self.paths.items():
            try:
                _replace(fd, _open(path))
            except OSError as error:
                log.error("log file not reopened", path=path, reason=error.strerror)
        return tuple(self.paths)

    def adopt(self, received: Sequence[int]) -> None:
        """Put descriptors that came from the master's `reopen` in the place of ours; those received are closed.

        A worker that is older than the present configuration may be sent more or fewer than it has: then it keeps its
        own.
        """
        if len(received) == len(self.paths):
            for fd, fresh in zip(self.paths, received, strict=True):
                _replace(fd, fresh)
        else:
            for fresh in received:
                os.close(fresh)


class AccessLog:
    """Collects lines and writes them together. `lost` counts those that found no room while writing failed.

    `problem` is why the latest write failed, empty where it didn't, or where a reader was slow; `told` what is known.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lost = 0
        self.problem = ""
        self.told = ""
        self._waiting = bytearray()
        self._at_once = LINE_BYTES if _is_pipe(fd) else ACCESS_BYTES

    def add(self, line: bytes) -> None:
        """Collect one whole line."""
        if len(self._waiting) + len(line) > ACCESS_BYTES:
            self.flush()
        if len(self._waiting) + len(line) > ACCESS_BYTES:
            self.lost += 1
        else:
            self._waiting += line

    def flush(self) -> None:
        """Write what was collected, in one write(2), to a pipe in several; what finds no room waits for the next."""
        while self._waiting:
            whole_lines = self._waiting.rfind(b"\n", 0, self._at_once) + 1
            try:
                written = os.write(self.fd, self._waiting[: whole_lines or self._at_once])
            except BlockingIOError:
                return
            except OSError as error:
                self.problem = os.strerror(error.errno or 0)
                return
            self.problem = ""
            del self._waiting[:written]

    def give_up(self) -> None:
        """Count what still waits among what is lost: nobody will write it."""
        self.lost += self._waiting.count(b"\n")
        self._waiting.clear()


def tell_losses(access_log: AccessLog | Entries, log: Log) -> None:
    """Log when lines can't be written and when they can again, and how many are lost."""
    if isinstance(access_log, AccessLog) and access_log.problem != access_log.told:
        access_log.told = access_log.problem
        if access_log.problem:
            log.error("access log can't be written, lines wait", reason=access_log.problem)
        else:
            log.info("access log is written again")
    if access_log.lost:
        log.warning("access log lines lost", count=access_log.lost)
        access_log.lost = 0


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


def _open(path: str) -> int:
    return os.open(path, FILE_FLAGS, 0o640)


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def _unblock(fd: int) -> None:
    """Keep a write to a pipe or a socket from waiting for a reader.

    O_NONBLOCK belongs to all who share a file, so a pipe, which may be our parent's too, is opened anew. A socket can't
    be; the journal gives each service one of its own. A terminal is left alone: it is slow, and its user wants every
    line.
    """
    with suppress(OSError):  # closed, or a pipe of another user: it stays as it is
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            os.set_blocking(fd, False)
        elif _is_pipe(fd):
            _replace(fd, os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))


def _replace(fd: int, fresh: int) -> None:
    """Put `fresh` in the place of `fd` and close its own number; the standard streams are passed on by exec(3)."""
    if fresh != fd:  # it is, where the process was started without stderr
        os.dup2(fresh, fd, inheritable=fd <= STDERR)
        os.close(fresh)
