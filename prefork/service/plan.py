"""Decides what has to be done to install a service, or to remove it. Pure: what there is comes as texts by their paths.

A file that was changed since it was written is never touched, and a configuration is kept for ever.
"""

from collections.abc import Mapping, Sequence
from os import EX_CANTCREAT
from typing import TypeAlias

from msgspec import Struct

from prefork.ipc.client import CommandError
from prefork.ipc.control_path import service_name
from prefork.service.seal import is_sealed
from prefork.service.texts import Paths, paths


class Write(Struct, frozen=True):
    """Write a file, and make its folder."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"write {self.path}"


class Delete(Struct, frozen=True):
    """Delete a file, and its folder if that is empty then and was made for it."""

    path: str

    def __str__(self) -> str:
        return f"remove {self.path}"


class Systemctl(Struct, frozen=True):
    """Run systemctl with these arguments; with `must`, what follows is only done if it succeeds."""

    arguments: tuple[str, ...]
    must: bool = True

    def __str__(self) -> str:
        return f"run systemctl {' '.join(self.arguments)}"


Action: TypeAlias = Write | Delete | Systemctl | str  # what is only told, as that a file is left alone


def install(
    name: str, config: str | None, units: Mapping[str, str], found: Mapping[str, str], *, chosen: bool
) -> Sequence[Action]:
    """Return what installs these units.

    `config` is the text of the configuration to be had, None where it is in its place; `chosen` says that the user
    wants this one and no other. `found` are the files that exist.

    Raises:
        CommandError: 73, a file would be overwritten that is not ours.
    """
    place = paths(name)
    _check(found, place)
    unwanted = [path for path in _units(place) if path in found and path not in units]
    changed = [path for path, text in units.items() if found.get(path) != text]
    return [
        *_stop_socket(place, [*unwanted, *changed], found),
        *_configuration(place.config, config, found, chosen=chosen),
        *(Write(path, units[path]) for path in changed),
        *(Delete(path) for path in unwanted),
        Systemctl(("daemon-reload",)),
        Systemctl(("enable", "--now", *_names(place, units))),
        *_restart(place, [*unwanted, *changed], found),
    ]


def remove(name: str, found: Mapping[str, str]) -> Sequence[Action]:
    """Return what removes a service; raises CommandError."""
    place = paths(name)
    _check(found, place)
    there = [path for path in _units(place) if path in found]
    units = _names(place, there)
    return [
        Systemctl(("disable", "--now", *units)),
        *(Delete(path) for path in there),
        Systemctl(("daemon-reload",)),
        Systemctl(("reset-failed", *units), must=False),
        *([f"keep {place.config}: the configuration is yours"] if place.config in found else []),
    ]


def _check(found: Mapping[str, str], place: Paths) -> None:
    for path in _units(place):
        if path in found and not is_sealed(found[path]):
            raise CommandError(
                EX_CANTCREAT,
                f"{path}: was not written by this command, or was changed since; move it away first, and put what it"
                " changes into a drop-in by `systemctl edit`",
            )


def _configuration(path: str, text: str | None, found: Mapping[str, str], *, chosen: bool) -> Sequence[Action]:
    if text is not None and path not in found:
        return [Write(path, text)]
    if chosen and text not in (None, found.get(path)):
        problem = f"{path}: there is another configuration already; change that one, or move it away first"
        raise CommandError(EX_CANTCREAT, problem)
    return [f"keep {path}: it is the configuration"]


def _stop_socket(place: Paths, changing: Sequence[str], found: Mapping[str, str]) -> Sequence[Action]:
    """A socket unit is neither started nor stopped for good while its service runs."""
    if place.socket not in changing or place.service not in found:
        return []
    if place.socket not in found:
        return [Systemctl(("stop", _name(place.service)))]
    return [Systemctl(("disable", "--now", _name(place.socket), _name(place.service)))]


def _restart(place: Paths, changing: Sequence[str], found: Mapping[str, str]) -> Sequence[Action]:
    """`enable --now` leaves a service alone that runs, which systemd can start anew without refusing anybody."""
    if not changing or place.service not in found or place.socket in changing:
        return []
    return [Systemctl(("restart", _name(place.service)))]


def _units(place: Paths) -> tuple[str, ...]:
    return place.service, place.socket, place.drop_in


def _names(place: Paths, units: Mapping[str, str] | Sequence[str]) -> tuple[str, ...]:
    """Return the units that are to be started, the socket first."""
    return tuple(_name(path) for path in (place.socket, place.service) if path in units)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def unit(name: str) -> str:
    """Return the service unit of the service of this name."""
    return f"{service_name(name)}.service"
