"""The PROXY protocol: any header is read to its last byte, however it arrives, and whatever else comes is refused."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.http.proxy import FIXED, LONGEST_V1, LONGEST_V2, SIGNATURE, Header, parse

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)
PORTS = st.integers(0, 65535)


def v1(source: object, destination: object, port: int, other_port: int) -> bytes:
    family = "TCP6" if isinstance(source, IPv6Address) else "TCP4"
    return f"PROXY {family} {source} {destination} {port} {other_port}\r\n".encode()


def v2(command: int, family: int, payload: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(payload).to_bytes(2, "big") + payload


def v2_proxy(source: IPv4Address | IPv6Address, destination: IPv4Address | IPv6Address, tlvs: bytes) -> bytes:
    family = 0x21 if source.version == 6 else 0x11
    return v2(0x21, family, source.packed + destination.packed + b"\x1f\x90\x00\x50" + tlvs)


def usual(address: IPv4Address | IPv6Address) -> bytes:
    """Return an address as text, an IPv4 one that is mapped as itself."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address).encode()


PAIRS = st.one_of(st.tuples(V4, V4), st.tuples(V6, V6))
HEADERS = st.one_of(
    st.builds(lambda pair, port: (v1(pair[0], pair[1], port, 80), usual(pair[0])), PAIRS, PORTS),
    st.builds(lambda pair, tlvs: (v2_proxy(pair[0], pair[1], tlvs), usual(pair[0])), PAIRS, st.binary(max_size=100)),
    st.just((b"PROXY UNKNOWN\r\n", None)),
    st.just((b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None)),
    st.builds(lambda family, payload: (v2(0x20, family, payload), None), st.integers(0, 255), st.binary(max_size=100)),
    st.builds(lambda payload: (v2(0x21, 0x31, payload), None), st.binary(min_size=216, max_size=216)),
)


@given(HEADERS, st.binary(max_size=50))
def test_a_header_tells_the_client_and_ends_where_it_ends(told: tuple[bytes, bytes | None], rest: bytes) -> None:
    header, address = told
    assert parse(header + rest) == Header(len(header), address)


@given(HEADERS, st.data())
def test_a_header_that_is_not_whole_waits_for_the_rest(told: tuple[bytes, bytes | None], data: st.DataObject) -> None:
    header, _ = told
    assert parse(header[: data.draw(st.integers(1, len(header) - 1))]) is None


@given(st.one_of(st.binary(min_size=1), st.binary().map(SIGNATURE.__add__), st.binary().map(b"PROXY ".__add__)))
def test_whatever_comes_is_a_header_or_the_beginning_of_one_or_refused(data: bytes) -> None:
    try:
        header = parse(data)
    except ValueError:
        return
    assert header is None or header.length <= len(data)
    if header and header.address:
        ip_address(header.address.decode())
    if header is None:
        assert len(data) < max(LONGEST_V1, LONGEST_V2)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 1\r\n",
        b"PROXY TCP6 ::1 ::1 1 65536\r\n",
        b"PROXY TCP6 ::1 ::1 65536 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 000001 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 000002\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8  2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.800 1 2\r\n",
        b"PROXY TCP6 ::1 ::1::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.400 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY UNKNOWN a\nb\r\n",
        b"PROXY UNKNOWN a\rb\r\n",
        b"PROXY UNKNOWN".ljust(LONGEST_V1, b"x"),
        b"GET / HTTP",
        b"PROX ",
        SIGNATURE[:-1] + b"x",
        v2(0x22, 0x11, bytes(12)),
        v2(0x11, 0x11, bytes(12)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x21, bytes(35)),
        v2(0x21, 0x01, bytes(36)),
        v2(0x21, 0x13, bytes(36)),
        v2(0x21, 0x41, bytes(36)),
        v2(0x20, 0x00, bytes(LONGEST_V2 - FIXED + 1)),
    ],
)
def test_a_malformed_header_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="malformed"):
        parse(data)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n", b"1.2.3.4"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 65535 0\r\n", b"1.2.3.4"),
        (b"PROXY TCP6 2001:DB8::A ::FFFF:5.6.7.8 1 2\r\n", b"2001:db8::a"),
        (b"PROXY TCP6 ::FFFF:1.2.3.4 ::A 1 2\r\n", b"1.2.3.4"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN \r\n", None),
        (v2(0x21, 0x11, b"\1\2\3\4" + bytes(8)), b"1.2.3.4"),
        (v2(0x21, 0x21, b"\x20" + bytes(35)), b"2000::"),
        *((v2(0x21, family, bytes(12)), None) for family in (0x00, 0x12, 0x22, 0x31, 0x32)),
    ],
)
def test_so_far_as_it_is_whole_a_header_tells_an_address_where_it_has_one(header: bytes, address: bytes | None) -> None:
    assert parse(header) == parse(header + b"x") == Header(len(header), address)
    assert [parse(header[:length]) for length in range(1, len(header))] == [None] * (len(header) - 1)


def test_an_ipv4_client_of_a_proxy_that_listens_for_both_versions_is_one() -> None:
    mapped, local = IPv6Address("::ffff:192.0.2.1"), IPv6Address("::1")
    for header in (v1(mapped, local, 1, 2), v2_proxy(mapped, local, b"")):
        found = parse(header)
        assert found is not None
        assert found.address == b"192.0.2.1"


def test_a_header_may_be_as_long_as_the_limit_of_its_version() -> None:
    longest = b"PROXY UNKNOWN ".ljust(LONGEST_V1 - 2, b"x") + b"\r\n"
    assert parse(longest) == Header(LONGEST_V1, None)
    with pytest.raises(ValueError, match="malformed"):
        parse(b"PROXY UNKNOWN ".ljust(LONGEST_V1 - 1, b"x") + b"\r\n")
    assert parse(v2(0x20, 0, bytes(LONGEST_V2 - FIXED))) == Header(LONGEST_V2, None)
