"""Reads what the kernel tells in small files: /proc and /sys/fs/cgroup."""


def read(path: str) -> str:
    """Return the text of a small file of the kernel, empty where it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
