"""Tells systemd how the service is: sd_notify(3), one datagram for each thing said.

Without NOTIFY_SOCKET, outside systemd, nothing is sent. A notification never fails: the service is worth more than the
news of it.
"""

import contextlib
import socket
import time
from array import array
from collections.abc import Mapping, MutableMapping
from struct import Struct

from prefork.kernel import cgroups, read

VARIABLES = (
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "FDSTORE",
)  # fmt: skip
TIMEOUT = 1  # whole seconds that a full queue of systemd may hold us up; a signal begins them anew
TIMEVAL = Struct("qq")  # seconds and microseconds, and where they have 32 bits both in the first, little-endian
FIRST_PASSED = 3  # SD_LISTEN_FDS_START
UNNAMED = "unknown"  # the name of what has none, as in sd_listen_fds_with_names(3)


class Notifier:
    """Sends the state of the service to the socket that the environment names, a path or an abstract @name."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self._sender: socket.socket | None = None

    @property
    def is_heard(self) -> bool:
        """Whether there is somebody to tell."""
        return bool(self._address)

    def ready(self) -> None:
        """Say that the start or the reload is over, also when the reload failed: until then no other can begin."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that a reload begins. Type=notify-reload wants the moment in the same datagram."""
        now_usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_usec}")

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Answer the watchdog."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for that much time from now to get on with starting or reloading; never shortens what there is."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def status(self, text: str) -> None:
        """Show a line in `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def store(self, name: str, fd: int) -> bool:
        """Have a copy of a descriptor kept, which a service that starts after a crash is passed by this name.

        Return whether that was asked for; where the unit has no room, systemd only says so in its own log.
        """
        return self._send(f"FDSTORE=1\nFDNAME={name}", fd)

    def discard(self, name: str) -> bool:
        """Have what is kept by this name closed; return whether that was asked for."""
        return self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def close(self) -> None:
        """Let go of the socket by which it is told."""
        if self._sender is not None:
            self._sender.close()

    def _send(self, state: str, *fds: int) -> bool:
        if not self._address:
            return False
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        with contextlib.suppress(OSError):
            self._open_sender().sendmsg([state.encode(errors="replace")], rights, 0, self._address)
            return True
        return False

    def _open_sender(self) -> socket.socket:
        # Kept: without a descriptor left for another, the watchdog would end a service that serves. It isn't connected,
        # so that a systemd that was re-executed is found again.
        if self._sender is None:
            sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # The kernel's own limit (socket(7)): poll(2) says that a socket that isn't connected can be written to, so
            # what settimeout makes of it asks again and again, with all of a core.
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, TIMEVAL.pack(TIMEOUT, 0))
            self._sender = sender
        return self._sender


def store_capacity(environ: Mapping[str, str]) -> int:
    """Return how many descriptors the fd store takes: FileDescriptorStoreMax=.

    systemd tells since version 254; before, the unit has to say the same in Environment=FDSTORE=.
    """
    number = environ.get("FDSTORE", "")
    return int(number) if number.isdecimal() else 0


def passed_descriptors(environ: Mapping[str, str], pid: int) -> list[tuple[str, int]]:
    """Return the names and numbers of what systemd has passed to this process (sd_listen_fds(3)).

    That is nothing where the variables are those of another process, such as the one that started this.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return []
    numbers = range(FIRST_PASSED, FIRST_PASSED + int(count))
    names = environ["LISTEN_FDNAMES"].split(":") if "LISTEN_FDNAMES" in environ else []
    return list(zip([*names, *[UNNAMED] * len(numbers)], numbers, strict=False))


def unit_name(membership: str = "/proc/self/cgroup") -> str:
    """Return the name of the unit that the process belongs to, such as hello.service, empty where it is none."""
    paths = [path for _controllers, path in cgroups(read(membership))]
    units = [part for path in paths for part in path.split("/") if part.endswith(".service")]
    return units[-1] if units else ""


def farewell(environ: Mapping[str, str], unit: str) -> str:
    """Return what who stops the service by itself has to know of its manager."""
    if not environ.get("NOTIFY_SOCKET"):
        return ""
    advice = f", but for `systemctl stop {unit}`" if unit else ""
    return f"its service manager may start it again{advice}"


def has_manager(environ: Mapping[str, str]) -> bool:
    """Tell whether systemd waits for this process."""
    return any(name in environ for name in VARIABLES)


def drop_variables(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Remove and return what systemd said to the master alone; workers would pass it on to their children."""
    return {name: environ.pop(name) for name in VARIABLES if name in environ}
