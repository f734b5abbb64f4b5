"""The servers that can be under load, as a table, and one of them as it runs: its signals, its workers, its log."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench import running, servers
from tests.bench.errors import NoFigureError
from tests.bench.servers import Site
from tests.loss import held
from tests.loss.held import Toll
from tests.loss.wire import Address
from tests.process import proc

LIMIT: Final = 60.0  # seconds: longer than any timeout of the servers that an action may have to wait for
LOOK_SECONDS: Final = 0.005
# nginx obeys USR2 only once the process that started it has gone (ngx_signal_handler in its ngx_process.c).
ORPHANED: Final = '("$@" & until [ -s "$0" ]; do sleep 0.05; done); exec sleep infinity'
PID_FILE: Final = "nginx.pid"
KEEP_ALIVE: Final = 24 * 3600  # seconds; no idle connection is closed for its age
SOCKET: Final = "sock"


class Unsupported(Exception):  # noqa: N818 - a server that can't do something is no error
    """The server knows nothing of the action; the message is what it said."""


def prefork(site: Site, *program: str) -> list[str]:
    """Return prefork's command, or that of the `program`."""
    command = [*program, *servers.prefork_options(site)] if program else servers.prefork(site)
    return [*command, "--bind", f"unix:{site.folder}/{SOCKET}", "--keep-alive-timeout", str(KEEP_ALIVE)]


def nginx(site: Site) -> list[str]:
    """Write nginx's configuration and return its command."""
    command = servers.nginx(site)
    config = site.folder / "nginx.conf"
    listen = f"listen unix:{site.folder}/{SOCKET};\n        default_type"
    age = f"keepalive_timeout {servers.KEEP_ALIVE_SECONDS}"
    written = config.read_text().replace("default_type", listen).replace(age, f"keepalive_timeout {KEEP_ALIVE}")
    config.write_text(written.replace("keepalive_requests", f"keepalive_time {KEEP_ALIVE};\n    keepalive_requests"))
    return ["sh", "-c", ORPHANED, str(site.folder / PID_FILE), *command]


def gunicorn(site: Site) -> list[str]:
    """Return gunicorn's command."""
    # A thread for each client of the kinds that keep one busy, so that none waits for another.
    room = ["--threads", "32", "--keep-alive", str(KEEP_ALIVE), "--log-level", "critical"]
    return [*servers.gunicorn(site), "--bind", f"unix:{site.folder}/{SOCKET}", *room]


Command = Callable[[Site], list[str]]
COMMANDS: Final[dict[str, Command]] = {"prefork": prefork, "nginx": nginx, "gunicorn": gunicorn}


class Service:
    """A server that answers on TCP and on a unix socket."""

    def __init__(self, process: subprocess.Popen[bytes], site: Site, log: Path) -> None:
        self._process = process
        self._master = process.pid
        self._log = log
        self._site = site

    @property
    def addresses(self) -> tuple[Address, Address]:
        """Where it listens."""
        return ("127.0.0.1", self.port), f"{self._site.folder}/{SOCKET}"

    @property
    def folder(self) -> Path:
        return self._site.folder

    @property
    def port(self) -> int:
        return self._site.port

    @property
    def exit_status(self) -> int | None:
        """Its exit status, if it has ended, or the signal that ended it."""
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended.si_status if ended else None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def log_size(self) -> int:
        """How many bytes it has logged."""
        return self._log.stat().st_size

    @property
    def master(self) -> int:
        """The pid of its master; nginx writes the file anew when it is upgraded."""
        with suppress(FileNotFoundError, ValueError):
            self._master = int((self._site.folder / PID_FILE).read_text())
        return self._master

    @property
    def workers(self) -> set[int]:
        """The pids of its workers."""
        return set(proc.children(self.master))

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.master, number)

    def kill(self, worker: int) -> Toll:
        """Kill a worker, and return what it held; it blocks, so that no client sends meanwhile."""
        return held.kill(worker, {self.master, *self.workers}, self.port)

    async def logged(self, text: str, after: int, limit: float = LIMIT) -> int:
        """Wait for a text in the log, from this byte on, and return where it ends."""
        end = after

        def found() -> bool:
            nonlocal end
            with self._log.open("rb") as log:
                log.seek(after)
                before, mark, _ = log.read().partition(text.encode())
            end = after + len(before) + len(mark)
            return bool(mark)

        await self.until(found, f"{text!r} in its log", limit)
        return end

    async def replaced(self, before: set[int]) -> None:
        """Wait until it has its number of workers, and none of those before."""
        await self.until(lambda: len(self.workers) == self._site.workers and not self.workers & before, "new workers")

    async def sized(self, count: int) -> None:
        """Wait until it has so many workers."""
        await self.until(lambda: len(self.workers) == count, f"{count} workers")

    async def ended(self) -> None:
        """Wait for its end."""
        await self.until(lambda: running.has_ended(self._process), "its end")

    async def until(self, condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
        """Wait for what is to become true.

        Raises:
            TimeoutError: it did not within `limit` seconds.
        """
        deadline = time.monotonic() + limit
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {limit:g} s in vain for {what}")
            await asyncio.sleep(LOOK_SECONDS)


@contextmanager
def serving(command: Command, workers: int, flags: Sequence[str]) -> Iterator[Service]:
    """Run a server until the block ends.

    Raises:
        Unsupported: it does not know one of the flags.
        NoFigureError: it does not answer.
    """
    with TemporaryDirectory(prefix="prefork-loss-") as folder:
        site = Site(port=running.free_port(), workers=workers, folder=Path(folder))
        os.chmod(folder, 0o755)
        log = site.folder / "log"
        process = running.start([*command(site), *flags], log)
        try:
            wait_until_it_answers(process, site, log)
            yield Service(process, site, log)
        finally:
            running.end(process)


def wait_until_it_answers(process: subprocess.Popen[bytes], site: Site, log: Path) -> None:
    try:
        running.wait_for_answer(process, site, log)
    except NoFigureError as error:
        if "unknown option" in str(error):
            raise Unsupported(str(error).rpartition("error: ")[2]) from error
        raise
