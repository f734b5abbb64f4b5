"""Does to this machine what was decided: reads and writes files, runs systemctl, asks the service how it is.

A step that fails ends all that would follow, with one line that says why.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import prefork
from prefork.ipc.client import CommandError, ask
from prefork.ipc.control import Status
from prefork.ipc.control_path import command_paths, service_name
from prefork.service.plan import Action, Delete, Systemctl, Write, unit

MODE: Final = 0o644
# ProtectHome= and PrivateTmp= of the units.
HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not ours to write to
UNFIT: Final = set(" \t\n\"'\\%$;")  # in a unit they would mean something else


def shipped(folder: str) -> Mapping[str, str]:
    """Return the texts of the files in a folder of this package, by their names."""
    path = os.path.join(os.path.dirname(__file__), folder)
    return {name: text for name in os.listdir(path) if (text := _read(os.path.join(path, name))) is not None}


def existing(paths: Sequence[str]) -> Mapping[str, str]:
    """Return the texts of those files that exist."""
    return {path: text for path in paths if (text := _read(path)) is not None}


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise CommandError(os.EX_NOPERM, f"{path}: can't be read: {error.strerror}") from None


def bin_folder() -> str:
    """Return where the commands of this environment are; raises CommandError where no service can reach it."""
    places = {sys.prefix, os.path.realpath(sys.executable), os.path.dirname(os.path.realpath(prefork.__path__[0]))}
    reachable(places, "make the environment elsewhere, with the system's Python: /usr/bin/python3 -m venv /opt/prefork")
    if UNFIT & set(sys.prefix):
        raise CommandError(os.EX_CONFIG, f"{sys.prefix}: has characters that a unit file can't have in a path")
    return os.path.join(sys.prefix, "bin")


def reachable(places: Iterable[str], hint: str) -> None:
    """Raise CommandError for a place that services don't see."""
    for place in sorted(places):
        if any(place == hidden or place.startswith(f"{hidden}/") for hidden in HIDDEN):
            raise CommandError(os.EX_CONFIG, f"{place}: no service sees what is below {' or '.join(HIDDEN)}; {hint}")


def check() -> None:
    """Raise CommandError where services can't be installed."""
    if not os.path.isdir("/run/systemd/system"):
        raise CommandError(os.EX_UNAVAILABLE, "systemd does not run here; --dry-run shows what would be done")
    if os.geteuid():
        raise CommandError(
            os.EX_NOPERM, "only root can install and remove services; --dry-run shows what would be done"
        )


def perform(actions: Sequence[Action], name: str) -> Iterator[str]:
    """Do it, and tell of each step."""
    for action in actions:
        match action:
            case Write(path, text):
                write(path, text)
            case Delete(path):
                delete(path)
            case Systemctl(arguments, must):
                _systemctl(arguments, name, must=must)
            case str():
                pass
        yield str(action)


def told(actions: Sequence[Action]) -> Iterator[str]:
    """Tell what would be done, files with what would be in them."""
    return (f"{each}:\n{each.text}" if isinstance(each, Write) else str(each) for each in actions)


def write(path: str, text: str) -> None:
    """Put a file in its place, whole or not at all."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            os.fchmod(file.fileno(), MODE)
        os.rename(f"{path}.new", path)
    except OSError as error:
        raise CommandError(os.EX_CANTCREAT, f"{path}: can't be written: {error.strerror}") from None


def delete(path: str) -> None:
    """Delete a file, and the folder of drop-ins that it leaves empty."""
    try:
        os.unlink(path)
    except OSError as error:
        raise CommandError(os.EX_NOPERM, f"{path}: can't be removed: {error.strerror}") from None
    if path.endswith(".conf"):
        with suppress(OSError):
            os.rmdir(os.path.dirname(path))


def _systemctl(arguments: Sequence[str], name: str, *, must: bool) -> None:
    ended = _run("systemctl", *arguments)
    if ended.returncode and must:
        said = _last_words(name) or ended.stderr.strip().partition("\n")[0]
        raise CommandError(1, f"systemctl {' '.join(arguments)}: {said}; see systemctl status {service_name(name)}")


def _last_words(name: str) -> str:
    """Return the last line that the service has logged since it was started last, empty if there is none."""
    started = _run("systemctl", "show", "--property=InvocationID", "--value", unit(name)).stdout.strip()
    if not started:
        return ""
    _run("journalctl", "--sync")
    lines = _run("journalctl", "--no-pager", "--output=cat", f"_SYSTEMD_INVOCATION_ID={started}").stdout.split("\n")
    last = next((line for line in reversed(lines) if line), "")
    return last.rpartition(": error: ")[2]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - all of it is ours
    except OSError as error:
        raise CommandError(os.EX_UNAVAILABLE, f"{command[0]}: {error.strerror}") from None


def addresses(name: str) -> Sequence[str]:
    """Return where the service listens, which has to run; raises CommandError."""
    service = ask(Status(), command_paths(service_name(name), {}, os.geteuid())).service
    return service.listeners if service else ()
