"""What a worker holds at the moment when it is killed, by what the kernel says: nothing else may be missing afterwards.

While it is found out, the whole service is stopped, and so is the loop of the clients, which it blocks.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import poll
from typing import Final

from msgspec import Struct

from tests.process import proc, tcp, unix
from tests.process.tcp import State

LIMIT: Final = 15.0  # seconds
CONNECTED: Final = (
    State.ESTABLISHED, State.FIN_WAIT1, State.FIN_WAIT2, State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING,
)  # fmt: skip


class Toll(Struct, frozen=True):
    """What a killed worker takes along: the connections of the clients of these names, and so many in its queues.

    Those were on their way to it from other workers, which had already closed them.
    """

    names: frozenset[str] = frozenset()
    queued: int = 0


def kill(victim: int, service: Iterable[int], port: int) -> Toll:
    """Kill a worker of the service that has these pids and this port; return what it held when it is gone."""
    with stopped(victim, *service):
        if proc.process(victim) is None:  # it ended by itself
            return Toll()
        pids = {*service, victim}
        names = ends(port)
        held = {names[each] for each in proc.descriptors(victim).values() if each in names}
        queued = in_queues(victim)
        if queued:  # may be the end of a handover, which has a queue of its own that nobody tells of
            owned = {each for pid in pids for each in proc.descriptors(pid).values()}
            queued = max(queued, len(names.keys() - owned))
        end(victim)
    return Toll(frozenset(held), queued)


def ends(port: int) -> dict[str, str]:
    """Return the name of the client of each connection of the server, by what that is in /proc/PID/fd."""
    clients = set(proc.descriptors(os.getpid()).values())
    of_unix = {f"socket:[{inode}]": peer for inode, peer in unix.peers().items() if f"socket:[{peer}]" in clients}
    of_tcp = {each.name: each.peer_port for each in tcp.sockets_in(*CONNECTED) if each.port == port}
    # One that waits to be accepted has no inode, so nobody holds it.
    of_tcp.pop("socket:[0]", None)
    return {name: f"unix:{peer}" for name, peer in of_unix.items()} | {
        name: f"tcp:{peer}" for name, peer in of_tcp.items()
    }


def in_queues(pid: int) -> int:
    """Return how many descriptors have been sent to the process that it has not received (unix_show_fdinfo)."""
    found = 0
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            words = entry.read_text().split()
            found += int(words[words.index("scm_fds:") + 1]) if "scm_fds:" in words else 0
    return found


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Stop the processes, but those that are stopped already, until the block ends."""
    running = [pid for pid in pids if not has_stopped(pid)]
    try:
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + LIMIT
        while not all(has_stopped(pid) for pid in running):
            assert time.monotonic() < deadline, "a process doesn't stop"
        yield
    finally:
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def has_stopped(pid: int) -> bool:
    """Tell whether the process is stopped, or has ended."""
    found = proc.process(pid)
    return found is None or found.state == "T"


def end(pid: int) -> None:
    """Kill the process, and wait until its descriptors are closed."""
    pidfd = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        gone = poll()
        gone.register(pidfd)
        assert gone.poll(LIMIT * 1000), "a process survives SIGKILL"
    finally:
        os.close(pidfd)
