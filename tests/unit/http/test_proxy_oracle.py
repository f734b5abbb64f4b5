"""What the package proxy-protocol makes of the same headers: a parser that others wrote and that knows nothing of ours.

It knows no limits, and takes all that it is given for the header, so it is given no more than that; and no TLV of type
3, a checksum, which it verifies and we skip.
"""

from ipaddress import ip_address
from typing import Final

from hypothesis import assume, example, given
from hypothesis import strategies as st
from proxyprotocol.detect import ProxyProtocolDetect
from proxyprotocol.result import is_ipv4, is_ipv6

from prefork.http.proxy import LONGEST_V1, SIGNATURE, Header, parse
from tests.unit.http.test_proxy import usual

ADDRESSES: Final = st.ip_addresses().map(str) | st.sampled_from(["1.2.3", "01.2.3.4", "::ffff:1.2.3.4", "1::2::3", ""])
LINES: Final = st.builds(
    "PROXY {} {} {} {} {}\r\n".format,
    st.sampled_from(["TCP4", "TCP6", "UNKNOWN", "UDP4", "tcp4"]),
    ADDRESSES,
    ADDRESSES,
    st.integers(-1, 70_000),
    st.integers(0, 65_535),
).map(str.encode)
BINARIES: Final = st.builds(
    lambda command, family, payload: SIGNATURE + bytes([command, family]) + len(payload).to_bytes(2, "big") + payload,
    st.sampled_from([0x20, 0x21, 0x22, 0x11]),
    st.sampled_from([0x00, 0x11, 0x21, 0x12]),
    (st.binary(max_size=12) | st.binary(min_size=36, max_size=60)).map(lambda payload: payload.replace(b"\3", b"\4")),
)


def by_package(header: bytes) -> tuple[bytes | None] | None:
    """Return the address that the package reads, itself None where there is none; None where it refuses."""
    try:
        result = ProxyProtocolDetect().unpack(header)
    except Exception:  # noqa: BLE001 - struct.error among them
        return None
    return (usual(ip_address(result.peername[0])),) if is_ipv4(result) or is_ipv6(result) else (None,)


def by_us(header: bytes) -> tuple[bytes | None] | None:
    try:
        found = parse(header)
    except ValueError:
        return None
    assert isinstance(found, Header)
    assert found.length == len(header)
    return (found.address,)


@given(LINES)
@example(b"PROXY UNKNOWN\r\n")
def test_a_line_is_read_as_the_package_reads_it(line: bytes) -> None:
    assume(len(line) <= LONGEST_V1)
    assert by_us(line) == by_package(line)


@given(BINARIES)
def test_a_binary_header_is_read_as_the_package_reads_it(header: bytes) -> None:
    assume(header[13] != 0x12)  # UDP over TCP: its address is taken there
    assert by_us(header) == by_package(header)
