"""What the units of a service say: those of the folder systemd, with the paths of this environment. Pure.

The hello has units of its own; those of another service are made from the template, for each can have an environment of
its own, and ExecStart= of a template can only name one.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from prefork.config.addresses import Inet, Unix
from prefork.config.schema import Config
from prefork.config.units import format_mode
from prefork.ipc.control_path import service_name
from prefork.service.seal import sealed

UNITS: Final = "/etc/systemd/system"
CONFIGURATIONS: Final = "/etc/prefork"
HELLO: Final = "hello"

_BIN: Final = "/opt/prefork/bin"  # in the folder systemd
_OTHERS: Final = 0o002  # who is neither owner nor group may write to it, and so connect (unix(7))
_FIRST_COMMENT: Final = re.compile(r"(#.*\n)*\n*")


class Paths(Struct, frozen=True):
    """Where the files of a service are."""

    config: str
    service: str
    socket: str
    drop_in: str


def paths(name: str) -> Paths:
    """Return where the files of the service of this name are."""
    unit = f"{UNITS}/{service_name(name)}"
    return Paths(
        config=f"{CONFIGURATIONS}/{name}.toml",
        service=f"{unit}.service",
        socket=f"{unit}.socket",
        drop_in=f"{unit}.service.d/socket.conf",
    )


def sources(name: str) -> tuple[str, str]:
    """Return which units of the folder systemd those of the service are made from: its service and its socket."""
    stem = "prefork-hello" if name == HELLO else "prefork@"
    return f"{stem}.service", f"{stem}.socket"


def unit_files(
    name: str, bin_folder: str, config: Config, shipped: Mapping[str, str], *, socket: bool
) -> dict[str, str]:
    """Return the texts of the units by their paths; `shipped` are those of the folder systemd by their names.

    Raises:
        ValueError: `bind` has an address that a socket unit can't have.
    """
    place = paths(name)
    service_source, socket_source = sources(name)
    texts = {place.service: shipped[service_source]}
    if socket:
        texts[place.socket] = _listening(shipped[socket_source], config, name)
        texts[place.drop_in] = shipped["socket.conf"]
    return {path: sealed(_own(text, name, bin_folder)) for path, text in texts.items()}


def shut_out(name: str, config: Config, *, socket: bool) -> str:
    """Return whom the unix sockets of a service don't let in, and what does; nothing where there are none."""
    if not any(isinstance(address, Unix) for address in config.bind):
        return ""
    if not socket:
        return "; without --socket a proxy reaches no unix socket of a service whose user exists only while it runs"
    if config.unix_mode & _OTHERS:
        return ""
    return (
        f"; only root may connect there: a proxy by its SocketGroup= in `systemctl edit {service_name(name)}.socket`,"
        ' anybody of this machine by unix_mode = "0666"'
    )


def _own(text: str, name: str, bin_folder: str) -> str:
    """Return the text without its first comment, which is about the folder systemd, and with our paths."""
    return _FIRST_COMMENT.sub("", text, count=1).replace("%i", name).replace(_BIN, bin_folder)


def _listening(text: str, config: Config, name: str) -> str:
    """Return the text of a socket unit for the addresses of a configuration."""
    settings = {
        "ListenStream": "\nListenStream=".join(
            _stream(address, f"/run/{service_name(name)}") for address in config.bind
        ),
        "SocketMode": format_mode(config.unix_mode),
        "Backlog": str(config.backlog),
    }
    for setting, value in settings.items():
        text = re.sub(rf"^{setting}=.*$", f"{setting}={value}", text, flags=re.MULTILINE)
    return text


def _stream(address: object, runtime_folder: str) -> str:
    match address:
        case Inet():
            return str(address)
        case Unix(path) if path.startswith(f"{runtime_folder}/"):
            raise ValueError(
                f"expected a socket outside of {runtime_folder}, which goes with the service, got {address}"
            )
        case Unix(path) if path.startswith("/"):
            return path
    raise ValueError(f"expected IP addresses with ports, and whole paths, for a socket unit, got {address}")
