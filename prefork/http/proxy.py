"""The header that a proxy sends ahead of a connection, to tell whose it is: the PROXY protocol, versions 1 and 2.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. What is told besides addresses (TLVs) is skipped.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from msgspec import Struct

LONGEST_V1: Final = 107  # bytes (§2.1)
LONGEST_V2: Final = 2048  # bytes; with all TLVs that HAProxy sends it has some hundreds
SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
FIXED: Final = 16  # bytes of version 2 before the addresses
LOCAL, PROXY = 0x20, 0x21
NAMELESS: Final = frozenset({0x00, 0x12, 0x22, 0x31, 0x32})  # UNSPEC, UDP, unix (§2.2): no address of a client of ours
ADDRESSES: Final = {0x11: (IPv4Address, 4, 12), 0x21: (IPv6Address, 16, 36)}  # TCP: bytes of one, and of all with ports

_PORTS: Final = rb" ([0-9]{1,5}) ([0-9]{1,5})"
_V1: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP4 ([0-9.]+) ([0-9.]+)%b|TCP6 ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+)%b)\r\n"
    % (_PORTS, _PORTS)
).fullmatch
_LAST_PORT: Final = 65535


class Header(Struct, frozen=True):
    """A header of `length` bytes; `address` is the client's, None where the proxy speaks for itself or doesn't know."""

    length: int
    address: bytes | None


def parse(data: bytes) -> Header | None:
    """Return the header with which these bytes begin, None while more of it has to come.

    Raises:
        ValueError: They don't begin with one.
    """
    try:
        return _parse_v2(data) if data[:1] == SIGNATURE[:1] else _parse_v1(data)
    except ValueError:
        raise ValueError("no PROXY header, or a malformed one") from None


def _parse_v1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, LONGEST_V1)
    if end < 0:
        if len(data) >= LONGEST_V1 or not (data.startswith(b"PROXY ") or b"PROXY ".startswith(data)):
            raise ValueError
        return None
    line = data[: end + 2]
    match = _V1(line)
    if match is None:
        raise ValueError
    v4, v4_to, *v4_ports, v6, v6_to, v6_port, v6_port_to = match.groups()
    if any(int(port) > _LAST_PORT for port in (*v4_ports, v6_port, v6_port_to) if port):
        raise ValueError
    for kind, source, destination in ((IPv4Address, v4, v4_to), (IPv6Address, v6, v6_to)):
        if source:
            kind(destination.decode())
            return Header(len(line), _name(kind(source.decode())))
    return Header(len(line), None)


def _parse_v2(data: bytes) -> Header | None:
    if not (data.startswith(SIGNATURE) or SIGNATURE.startswith(data)):
        raise ValueError
    if len(data) < FIXED:
        return None
    command, family, length = data[12], data[13], FIXED + int.from_bytes(data[14:16], "big")
    if command not in (LOCAL, PROXY) or length > LONGEST_V2:
        raise ValueError
    if len(data) < length:
        return None
    if command == LOCAL or family in NAMELESS:
        return Header(length, None)
    if family not in ADDRESSES:
        raise ValueError
    kind, size, together = ADDRESSES[family]
    if length < FIXED + together:
        raise ValueError
    return Header(length, _name(kind(data[FIXED : FIXED + size])))


def _name(address: object) -> bytes:
    """Return an address in its usual form: a proxy that listens for both versions of IP may map IPv4 ones."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address).encode()
