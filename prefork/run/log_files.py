"""Translates a configuration into where is logged."""

import os
from contextlib import suppress
from errno import EACCES, ENOENT, ENXIO
from typing import Final

from prefork.config.keys import path_in
from prefork.config.schema import JOURNALD, Config
from prefork.logs.files import LogFiles
from prefork.logs.journal import SOCKET, Journal, is_there
from prefork.logs.log import STDERR, STDOUT, Log
from prefork.master.errors import StartError, explained

ADVICE: Final = {
    ENOENT: "make its folder or ",
    ENXIO: "start what reads it or ",  # of a pipe (fifo(7))
    EACCES: 'say "-" for a standard stream, or ',  # /dev/stdout is of whoever has made the pipe behind it
}


class Onlooker:
    """Who starts the service in the foreground while its log goes to a file: standard error, until it is ready."""

    def __init__(self) -> None:
        self._stderr = os.dup(STDERR)

    def ready(self) -> None:
        """Let go of it."""
        os.close(self._stderr)

    def waits(self, problem: Exception) -> None:
        """Say why it isn't ready yet, as the command would if it ended by that."""
        with suppress(OSError):
            os.write(
                self._stderr, f"prefork: error: {problem}; waiting for a change\n".encode(errors="backslashreplace")
            )

    def failed(self, error: StartError) -> None:
        """Say in the log, if it is open, why it doesn't start; have standard error back, where the command says it."""
        if not os.path.sameopenfile(self._stderr, STDERR):
            Log("master", "error").error("start failed", reason=error)
        os.dup2(self._stderr, STDERR)
        os.close(self._stderr)


def onlooker(config: Config) -> Onlooker | None:
    """Return who would else not see why a start fails."""
    return Onlooker() if path_in(config, "log") else None


def open_files(config: Config) -> LogFiles:
    """Open the log files; raises StartError."""
    if JOURNALD in (config.log, config.access_log) and not is_there():
        raise StartError(os.EX_CANTCREAT, f"log to {JOURNALD}: there is no journal at {SOCKET}; choose a path or -")
    try:
        return LogFiles(path_in(config, "log"), STDOUT if config.access_log == "-" else path_in(config, "access_log"))
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "") + "choose another path"
        raise explained(error, os.EX_CANTCREAT, f"log file {error.filename}: can't be opened", advice) from error


def open_next_files(config: Config, former: Config, files: LogFiles) -> LogFiles:
    """Open the log files after those of a `former` configuration, which may be the same; raises StartError."""
    if (former.log, former.access_log) == (config.log, config.access_log):
        return files
    try:
        files.save_stderr()
        return open_files(config)
    except StartError:
        files.take_back_stderr()
        raise


def follow(log: Log, config: Config, identifier: str) -> None:
    """Have the master's log go on as a configuration wants it."""
    log.level = config.log_level
    if config.log != JOURNALD:
        log.journal = None
    elif log.journal is None:
        log.journal = Journal(identifier)


def journal_of_worker(config: Config, identifier: str, slot: int, generation: int) -> Journal | None:
    """Return the journal for a worker that logs anything there."""
    if JOURNALD not in (config.log, config.access_log):
        return None
    return Journal(identifier, [("WORKER", slot), ("GENERATION", generation)])


def journal_of_mold(config: Config, identifier: str, generation: int) -> Journal | None:
    """Return the journal for a mold that logs there."""
    return Journal(identifier, [("GENERATION", generation)]) if config.log == JOURNALD else None
