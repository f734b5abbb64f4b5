"""The service under test: its command, started as a user would, and what can be asked of it while it runs."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM, Signals
from typing import Final

import requests

from tests.process import proc, tcp
from tests.process.clients import Client
from tests.process.tcp import State
from tests.process.waiting import LIMIT, until

ANY_PORT: Final = ("127.0.0.1:0",)


class Hello:
    """A running service. It lives in `folder`, with its configuration in hello.toml there."""

    def __init__(self, folder: Path, log_file: str) -> None:
        self.folder = folder
        self.master_pid = 0
        self.addresses: list[str] = []  # what it said that it listens on
        self.descriptors: dict[int, int] = {}  # how many each worker had when the service was ready
        self.expected_to_run = True
        self._session = 0
        self._log_file = folder / log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Client] = []
        self._sockets: set[str] = set()  # what the master has had, named as in /proc/PID/fd

    def launch(self, command: Sequence[str], environ: Mapping[str, str], passing: Sequence[int] = ()) -> None:
        """Start the command in the foreground, as the leader of a session, with these descriptors."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=passing,
            )
        self.master_pid = self._session = self._process.pid

    def watch_daemon(self) -> None:
        """Take the master from the pid file."""
        self.master_pid = int((self.folder / "hello.pid").read_text())
        found = proc.process(self.master_pid)
        assert found is not None
        self._session = found.session

    def wait_until_ready(self) -> None:
        self.wait_for_log("ready workers=")
        self.addresses = re.findall(r" listening address=(\S+)", self.log)
        self.take_stock()

    def take_stock(self) -> None:
        """Note what the service holds, to compare with that at the end of the test."""
        self.descriptors = {pid: self.descriptor_count(pid) for pid in self.worker_pids()}
        self._note_sockets()

    def _note_sockets(self) -> None:
        self._sockets |= {each for each in proc.descriptors(self.master_pid).values() if each.startswith("socket:")}

    # What it is and says

    @property
    def log(self) -> str:
        return self._log_file.read_text() if self._log_file.exists() else ""

    @property
    def ports(self) -> list[int]:
        return [int(each.rpartition(":")[2]) for each in self.addresses if not each.startswith("unix:")]

    def worker_pids(self) -> set[int]:
        return set(proc.children(self.master_pid))

    def descriptor_count(self, pid: int) -> int:
        """Return how many descriptors a worker has that lead nowhere where one of the master's does.

        It may be given more sockets to listen on, and keeps a /dev/null in reserve for each.
        """
        masters = set(proc.descriptors(self.master_pid).values())
        return sum(each not in masters for each in proc.descriptors(pid).values())

    def leaks(self) -> list[str]:
        """Tell what the workers still hold of connections whose clients have gone."""
        before = max(self.descriptors.values(), default=sys.maxsize)
        counts = {pid: self.descriptor_count(pid) for pid in self.worker_pids()}
        if more := [
            f"worker {pid}: {each} descriptors, {before} before" for pid, each in counts.items() if each > before
        ]:
            return more
        families = {
            socket.AF_INET6 if "[" in each else socket.AF_INET for each in self.addresses if "unix:" not in each
        }
        waiting = tcp.sockets_in(State.CLOSE_WAIT, families=families)
        return [f"{each} is in CLOSE_WAIT" for each in waiting if self._listens_at(each)]

    def _listens_at(self, sock: tcp.Socket) -> bool:
        """Tell whether a socket is of its connections: somebody else may have the same port of another address."""
        places = {sock.address, f"0.0.0.0:{sock.port}", f"[::]:{sock.port}"}
        return not places.isdisjoint(self.addresses)

    def in_slots(self) -> list[int]:
        """Return the workers that got ready, by their slots."""
        ready = {int(slot): int(pid) for slot, pid in re.findall(r" worker ready slot=(\d+) pid=(\d+) ", self.log)}
        return [pid for _, pid in sorted(ready.items())]

    def wait_until_closed(self) -> None:
        """Wait until the workers have let go of the connections of clients that have gone."""
        until(lambda: not self.leaks(), "connections to be closed")

    def session_pids(self) -> list[int]:
        """Return the pids of all that has come of the command."""
        return [each.pid for each in proc.processes() if each.session == self._session and self._session]

    def wait_until_gone(self) -> None:
        """Wait for the end of all that has come of the command, as when the master was killed."""
        until(lambda: not self.session_pids(), "the end of all its processes")

    @property
    def is_running(self) -> bool:
        return proc.process(self.master_pid) is not None

    def wait_for_log(self, text: str, after: int = 0) -> int:
        """Wait for a text in the log and return where it ends, so that the next one can be waited for."""

        def found() -> int:
            ended = not self.is_running
            place = self.log.find(text, after)
            assert place >= 0 or not ended, f"it ended without {text!r} in its log"
            return place + len(text) if place >= 0 else 0

        return until(found, f"{text!r} in the log")

    def wait_for_workers(self, count: int, *, without: Iterable[int] = ()) -> set[int]:
        """Wait until it has so many workers and none of `without`; return their pids."""

        def found() -> set[int]:
            pids = self.worker_pids()
            return pids if len(pids) == count and not pids & set(without) else set()

        return until(found, f"{count} workers")

    # What is done to it

    def rewrite(self, toml: str, bind: Sequence[str] = ANY_PORT) -> None:
        """Write another configuration."""
        addresses = ", ".join(f'"{each}"' for each in bind)
        self.edit(f"bind = [{addresses}]\n{toml}\n", "hello.toml")

    def edit(self, text: str, name: str = "shop.py") -> None:
        """Write another text into a file of the service, which nobody sees half written."""
        beside = self.folder / f"{name}~"
        beside.write_text(text)
        beside.replace(self.folder / name)

    def signal(self, number: Signals) -> None:
        os.kill(self.master_pid, number)

    def let_go(self) -> None:
        """Let those go on that wait for this: an Installation has HELD them, or the application does."""
        (self.folder / "go").touch()

    def reload(self, toml: str, bind: Sequence[str] = ANY_PORT) -> None:
        """Write another configuration, and wait until it holds."""
        self.rewrite(toml, bind)
        before = len(self.log)
        self.signal(SIGHUP)
        self.wait_for_log(" reloaded ", before)

    def hang_up(self, outcome: str) -> str:
        """Send HUP, and return what the log says up to the line of the outcome."""
        before = len(self.log)
        self.signal(SIGHUP)
        self.wait_for_log("\n", self.wait_for_log(outcome, before))
        return self.log[before:]

    def stop(self, number: Signals = SIGTERM) -> int:
        """Send a signal that ends it, and return the exit status."""
        self._note_sockets()
        self.signal(number)
        return self.wait_for_exit()

    def wait_for_exit(self) -> int:
        """Wait for its end and return the exit status; that of a daemon isn't known, and 0."""
        self.expected_to_run = False
        until(lambda: not self.is_running, "its end")
        return self._process.wait() if self._process else 0

    # What its clients do

    def get(self, path: str = "/") -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False  # no proxy
            return session.get(f"http://127.0.0.1:{self.ports[0]}{path}", timeout=LIMIT)

    def connect(self, address: str = "") -> Client:
        """Connect to one of its addresses, by default the first; the end of the test closes the connection."""
        client = Client(connected(address or self.addresses[0], self.folder))
        self._clients.append(client)
        return client

    def refuses(self, address: str) -> bool:
        """Tell whether nobody listens there."""
        try:
            self.connect(address).close()
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except ConnectionResetError:
            pass  # it was closed just now
        return False

    def listens(self) -> list[str]:
        """Return where it listens still. Whoever else is given the port of a socket that was closed doesn't count."""
        tcp_sockets = [each.address for each in tcp.sockets_in(State.LISTEN) if each.name in self._sockets]
        return tcp_sockets + [each for each in self.addresses if each.startswith("unix:") and not self.refuses(each)]

    def leave(self) -> None:
        """Close all connections of the test."""
        while self._clients:
            self._clients.pop().close()

    def kill(self) -> None:
        """End whatever is left of it."""
        for pid in self.session_pids():
            os.kill(pid, SIGKILL)
        if self._process:
            self._process.wait()


def connected(address: str, folder: Path) -> socket.socket:
    """Return a socket connected to an address as the configuration writes it; unix sockets are in `folder`."""
    if not address.startswith("unix:"):
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=LIMIT)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(folder / address.removeprefix("unix:")))
    except OSError:
        sock.close()
        raise
    return sock
