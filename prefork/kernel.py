"""Reads what the kernel tells in small files: those of /proc and of /sys/fs/cgroup."""

from collections.abc import Iterator


def read(path: str) -> str:
    """Return the text of a small file of the kernel, empty where it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def cgroups(membership: str) -> Iterator[tuple[str, str]]:
    """Yield controllers and path of each cgroup in the text of /proc/PID/cgroup; version 2 names no controllers."""
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        yield controllers, path
