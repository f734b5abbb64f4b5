"""Whose a request is: the walk through the proxies in front, from the nearest to the first that is not trusted."""

from ipaddress import ip_address
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.http.forwarded import LARGEST_REMEMBERED, MOST_HOPS, Client, Forwarding
from prefork.http.messages import Fields, Peer
from prefork.http.trust import trusting

NEAR: Final = b"127.0.0.1"
FORWARDING: Final = Forwarding(trusting(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]))
STRANGER: Final = b"198.51.100.7"


def client(*fields: tuple[bytes, bytes], peer: bytes = NEAR) -> Client:
    return FORWARDING.client(Peer(peer), fields)


def address(name: bytes, value: bytes) -> bytes:
    return client((name, value)).address


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"192.0.2.1", b"192.0.2.1"),
        (b" 192.0.2.1 ,, 10.0.0.1\t,", b"192.0.2.1"),
        (b"6.6.6.6, 192.0.2.1", b"192.0.2.1"),
        (b"6.6.6.6, 192.0.2.1, 10.0.0.1, 127.0.0.1", b"192.0.2.1"),
        (b"10.0.0.2, 10.0.0.1", b"10.0.0.2"),
        (b"192.0.2.1:8080", b"192.0.2.1"),
        (b"2001:DB9:0::1", b"2001:db9::1"),
        (b"[2001:db9::1]", b"2001:db9::1"),
        (b"[2001:db9::1]:443", b"2001:db9::1"),
        (b"::ffff:192.0.2.1", b"192.0.2.1"),
        (b"192.0.2.1, nonsense", NEAR),
        (b"192.0.2.1, unknown, 10.0.0.1", b"10.0.0.1"),
        (b"192.0.2.1, 10.0.0.01", NEAR),
        (b"192.0.2.1, fe80::1%<b>", NEAR),
        (b"192.0.2.1:_aZ0._-", b"192.0.2.1"),
        (b"192.0.2.1:99999", b"192.0.2.1"),
        (b"192.0.2.1:100000", NEAR),
        (b"192.0.2.1:", NEAR),
        (b"192.0.2.1:_", NEAR),
        (b"[192.0.2.1", NEAR),
        (b"[]", NEAR),
        (b"[2001:DB9::192.0.2.1]", b"2001:db9::c000:201"),
        (b"192.0.2.1, " + b", ".join([b"10.0.0.1"] * (2 * MOST_HOPS)), b"10.0.0.1"),
        (b"unix:", NEAR),
        (b"1:2", NEAR),
        (b"1", NEAR),
        (b"", NEAR),
    ],
)
def test_the_first_address_from_the_end_that_is_not_trusted_is_the_clients(value: bytes, found: bytes) -> None:
    assert address(b"x-forwarded-for", value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"for=192.0.2.1", b"192.0.2.1"),
        (b"For=192.0.2.1;proto=http;by=203.0.113.43", b"192.0.2.1"),
        (b"for=192.0.2.1 ; proto=http,, for=10.0.0.1", b"192.0.2.1"),
        (b'for="[2001:db9:cafe::17]:4711"', b"2001:db9:cafe::17"),
        (b'for="192.0.2.1:_port"', b"192.0.2.1"),
        (b'for="1\\92.0.2.1"', b"192.0.2.1"),
        (b'\tfor=192.0.2.1\t;\tby=""\t', b"192.0.2.1"),
        (b'by="a, b";for=192.0.2.1', b"192.0.2.1"),
        (b"for=6.6.6.6, for=192.0.2.1, for=10.0.0.1", b"192.0.2.1"),
        (b"for=192.0.2.1, \t , for=10.0.0.1", b"192.0.2.1"),
        (b"for=10.0.0.2, for=10.0.0.11", b"10.0.0.2"),
        (b'for=6.6.6.6;by="\\", for=10.0.0.1', b"10.0.0.1"),
        (b"for=6.6.6.6, for=unknown, for=10.0.0.1", b"10.0.0.1"),
        (b"for=6.6.6.6, for=_hidden", NEAR),
        (b"for=6.6.6.6, proto=https", NEAR),
        (b"for=6.6.6.6, nonsense", NEAR),
        (b"for=6.6.6.6, for=10.0.0.1;", NEAR),
        (b"for=6.6.6.6;for=192.0.2.1", NEAR),
        (b'for="6.6.6.6', NEAR),
        (b'by="' + b"," * 2 * MOST_HOPS + b'";for=192.0.2.1', NEAR),
        (b"", NEAR),
    ],
)
def test_so_it_is_in_forwarded_rfc7239(value: bytes, found: bytes) -> None:
    assert address(b"forwarded", value) == found


@pytest.mark.parametrize(
    "made_up",
    [
        b'for="6.6.6.6', b'for=6.6.6.6;x="', b'"', b'for=6.6.6.6;x="\\', b",,", b"for=6.6.6.6;", b'x="", "', b"\\",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "told",
    [
        b"for=192.0.2.1",
        b'for="192.0.2.1:1";by="10.0.0.1"',
        b'for=192.0.2.1;host=";for=6.6.6.6;a=b"',
        b'by=",";for=192.0.2.1',
    ],
)
def test_nothing_that_a_client_sends_hides_what_the_proxy_appends(made_up: bytes, told: bytes) -> None:
    assert address(b"forwarded", made_up + b", " + told) == b"192.0.2.1"
    assert client((b"forwarded", made_up), (b"forwarded", told)).address == b"192.0.2.1"


@given(st.binary(max_size=60) | st.text('for=";,\\ 6.[]:', max_size=60).map(str.encode))
def test_whatever_a_client_sends_the_proxys_word_holds(made_up: bytes) -> None:
    for name, told in ((b"forwarded", b"for=192.0.2.1"), (b"x-forwarded-for", b"192.0.2.1")):
        assert address(name, made_up + b"," + told) == b"192.0.2.1"


@given(st.sampled_from([b"forwarded", b"x-forwarded-for"]), st.binary() | st.text('for=";,\\ 1.[]:').map(str.encode))
def test_whatever_a_proxy_says_the_address_is_one(name: bytes, value: bytes) -> None:
    ip_address(address(name, value).decode())


@given(st.lists(st.ip_addresses(), min_size=1, max_size=MOST_HOPS + 5), st.booleans())
def test_the_walk_ends_at_the_first_stranger(path: list[object], rfc7239: bool) -> None:  # noqa: FBT001 - drawn
    is_trusted = trusting(["127.0.0.1", "128.0.0.0/1", "8000::/1"])
    addresses = [str(each).encode() for each in path]
    value = b",".join(
        [b'for="%b"' % (b"[%b]" % each if b":" in each else each) if rfc7239 else each for each in addresses]
    )
    near_first = [_normal(each) for each in reversed(addresses)][:MOST_HOPS]
    expected = next((each for each in near_first if not is_trusted(each)), near_first[-1])
    field = (b"forwarded" if rfc7239 else b"x-forwarded-for", value)
    assert Forwarding(is_trusted).client(Peer(NEAR), (field,)).address == expected


def _normal(text: bytes) -> bytes:
    found = ip_address(text.decode())
    mapped = found.ipv4_mapped if found.version == 6 else None
    return str(mapped or found).encode()


@pytest.mark.parametrize(
    "fields",
    [
        ((b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"evil")),
        ((b"forwarded", b"for=6.6.6.6;proto=https;host=evil"),),
    ],
)
def test_a_stranger_is_not_believed(fields: Fields) -> None:
    assert client(*fields, peer=STRANGER) == Client(STRANGER, b"http")
    assert client(*fields, peer=b"unix:") == Client(b"unix:", b"http")


def test_the_first_stranger_that_speaks_as_a_proxy_is_told_of_and_nobody_after_it() -> None:
    seen: list[tuple[bytes, bytes]] = []
    forwarding = Forwarding(trusting([NEAR.decode()]), lambda *told: seen.append(told))
    told = ((b"host", b"a"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-for", b"6.6.6.6"))
    forwarding.client(Peer(STRANGER), ((b"host", b"a"),))
    forwarding.client(Peer(NEAR), told)
    forwarding.client(Peer(STRANGER, is_known=False), told)
    assert seen == []
    for address in (STRANGER, STRANGER, b"unix:"):
        forwarding.client(Peer(address), told)
    assert seen == [(STRANGER, b"x-forwarded-proto")]


def test_a_unix_socket_is_believed_where_it_is_trusted() -> None:
    forwarding = Forwarding(trusting(["unix:"]))
    assert forwarding.client(Peer(b"unix:"), ((b"x-forwarded-for", b"192.0.2.1"),)).address == b"192.0.2.1"


def test_a_proxy_that_speaks_tls_with_us_may_have_a_client_that_does_not() -> None:
    peer = Peer(NEAR, b"https")
    assert FORWARDING.client(peer, ((b"x-forwarded-for", b"192.0.2.1"),)) == Client(b"192.0.2.1", b"https")
    assert FORWARDING.client(peer, ((b"x-forwarded-proto", b"http"),)) == Client(NEAR, b"http")


def test_without_a_word_the_peer_is_the_client() -> None:
    assert client((b"host", b"a"), (b"accept", b"*/*")) == Client(NEAR, b"http")


@pytest.mark.parametrize(
    ("fields", "scheme", "host"),
    [
        ([(b"x-forwarded-proto", b"HTTPS"), (b"x-forwarded-host", b"a.example:8443")], b"https", b"a.example:8443"),
        ([(b"x-forwarded-proto", b"ftp"), (b"x-forwarded-host", b"a b")], b"http", b""),
        ([(b"x-forwarded-proto", b"https"), (b"x-forwarded-for", b"192.0.2.1")], b"https", b""),
        ([(b"x-forwarded-proto", b"https, http"), (b"x-forwarded-for", b"6.6.6.6, 192.0.2.1")], b"http", b""),
        ([(b"x-forwarded-proto", b"https, http"), (b"x-forwarded-for", b"192.0.2.1, 10.0.0.1")], b"https", b""),
        ([(b"x-forwarded-proto", b"https"), (b"x-forwarded-for", b"192.0.2.1, 10.0.0.1")], b"https", b""),
        ([(b"forwarded", b'for=192.0.2.1;proto=https;host="a.example:8443"')], b"https", b"a.example:8443"),
        ([(b"forwarded", b"for=unknown;proto=https;host=a")], b"https", b"a"),
        ([(b"forwarded", b"for=6.6.6.6;proto=https, for=192.0.2.1;proto=http")], b"http", b""),
        ([(b"forwarded", b"for=192.0.2.1;proto=https, for=10.0.0.1;host=a")], b"https", b"a"),
    ],
)
def test_scheme_and_host_are_those_that_the_clients_proxy_saw(
    fields: list[tuple[bytes, bytes]], scheme: bytes, host: bytes
) -> None:
    found = client(*fields)
    assert (found.scheme, found.host) == (scheme, host)


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"])
def test_forwarded_is_not_read_beside_any_of_the_others(name: bytes) -> None:
    values = {b"x-forwarded-for": b"192.0.2.1", b"x-forwarded-proto": b"https", b"x-forwarded-host": b"a"}
    found = client((b"forwarded", b"for=6.6.6.6;proto=https;host=evil"), (name, values[name]))
    assert found == client((name, values[name]))


def test_long_fields_are_read_and_not_remembered() -> None:
    long = b"for=192.0.2.1;x=" + b"x" * LARGEST_REMEMBERED
    forwarding = Forwarding(trusting([NEAR.decode()]))
    assert forwarding.client(Peer(NEAR), ((b"forwarded", long),)).address == b"192.0.2.1"
    assert forwarding._remembered.cache_info().currsize == 0
    for _ in range(2):
        assert forwarding.client(Peer(NEAR), ((b"forwarded", long[:20]),)).address == b"192.0.2.1"
    assert forwarding._remembered.cache_info().hits == 1


def test_by_a_proxy_that_did_not_tell_whose_its_connection_is_nobody_is_believed() -> None:
    told = ((b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"a.example"))
    assert FORWARDING.client(Peer(NEAR, is_known=False), told) == Client(NEAR, b"http")
    assert FORWARDING.client(Peer(NEAR), told) == Client(b"192.0.2.1", b"https", b"a.example")
