"""Addresses to listen on, as values. Pure: a name is not resolved here and nothing is bound."""

import ipaddress
import re
from typing import Final

from msgspec import Struct

from prefork.config.literals import shown

UNFIT: Final = r"\x00-\x1f\x7f\ud800-\udfff"  # not in a path or a name: controls, and bytes that are no UTF-8

_TCP: Final = re.compile(
    r"""(?: \[ (?P<v6> [0-9a-f:.]+ (?: %[a-z0-9_.-]+ )? ) \]
          | (?P<v4> [0-9.]+ )
          | (?P<name> [a-z0-9_] (?: [a-z0-9_.-]{0,251} [a-z0-9_] )? )
        ) : (?P<port> [0-9]{1,5} )""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# unix(7): sun_path holds 108 bytes, one of them the NUL. "@" is kept for abstract names.
_UNIX: Final = re.compile(rf"unix:(?P<path>[^@{UNFIT}][^{UNFIT}]*)")
_LONGEST_PATH: Final = 107
_LAST_PORT: Final = 65535
# As systemd takes it for FileDescriptorName= (systemd.socket(5)).
_PASSED: Final = re.compile(r"systemd(?::(?P<name>[ -9;-~]{1,255}))?")
_DESCRIPTOR: Final = re.compile(r"fd:(?P<number>0|[3-9]|[1-9][0-9]{1,5})")  # 1 and 2 are for the logs


class Inet(Struct, frozen=True, tag=True):
    """A TCP address: `host` is an IP address without brackets, or a name; `port` 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Unix(Struct, frozen=True, tag=True):
    """A unix socket: `path` as it was given, relative to the working directory at start."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class Passed(Struct, frozen=True, tag=True):
    """The sockets that systemd passes by this name, FileDescriptorName= of their unit; without a name all of them."""

    name: str = ""

    def __str__(self) -> str:
        return f"systemd:{self.name}" if self.name else "systemd"


class Descriptor(Struct, frozen=True, tag=True):
    """A socket that the service is started with, by its number."""

    number: int

    def __str__(self) -> str:
        return f"fd:{self.number}"


Address = Inet | Unix | Passed | Descriptor


def parse_address(text: str) -> Address | None:
    """Return the address in `HOST:PORT`, `[IPV6]:PORT`, `unix:PATH`, `systemd`, `systemd:NAME` or `fd:N`, or None.

    IP addresses come in their shortest form.

    Raises:
        ValueError: It is the path of a unix socket that the kernel has no room for.
    """
    if unix := _UNIX.fullmatch(text):  # first: "unix:80" is a socket called 80
        if len(unix["path"].encode()) > _LONGEST_PATH:
            raise ValueError(f"expected a path of at most {_LONGEST_PATH} bytes (unix(7)), got {shown(text)}")
        return Unix(unix["path"])
    if passed := _PASSED.fullmatch(text):
        return Passed(passed["name"] or "")
    if text.startswith("fd:"):
        descriptor = _DESCRIPTOR.fullmatch(text)
        return Descriptor(int(descriptor["number"])) if descriptor else None
    if tcp := _TCP.fullmatch(text):
        host, port = _host(tcp["v6"], tcp["v4"], tcp["name"]), int(tcp["port"])
        return Inet(host, port) if host and port <= _LAST_PORT else None
    return None


def meant_address(text: str) -> str:
    """Return the address that may be meant by who writes as other programs have it; empty where there is none."""
    bare = text.removeprefix("http://").removesuffix("/")
    if bare.startswith("/"):
        return f"unix:{bare}"
    everywhere = f"0.0.0.0{bare.removeprefix('*')}"  # noqa: S104 - as others take ":8080"; nothing is bound by it
    tries = (bare, everywhere, f"127.0.0.1:{bare}", f"{bare}:8080")
    return next((each for each in tries if isinstance(parse_address(each), Inet)), "")


def _host(v6: str | None, v4: str | None, name: str | None) -> str | None:
    try:
        if v6:
            return str(ipaddress.IPv6Address(v6))
        if v4:
            return str(ipaddress.IPv4Address(v4))
    except ValueError:
        return None
    return name
