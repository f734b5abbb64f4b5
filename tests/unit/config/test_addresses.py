"""Addresses: read, refused, and written back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.config.addresses import Address, Descriptor, Inet, Passed, Unix, meant_address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Inet("127.0.0.1", 8080)),
        ("0.0.0.0:0", Inet("0.0.0.0", 0)),
        ("LocalHost:80", Inet("LocalHost", 80)),
        ("my_host-1.example.org:65535", Inet("my_host-1.example.org", 65535)),
        ("[::1]:80", Inet("::1", 80)),
        ("[0:0:0::1]:80", Inet("::1", 80)),
        ("[FE80::A]:80", Inet("fe80::a", 80)),
        ("[fe80::1%eth0]:80", Inet("fe80::1%eth0", 80)),
        ("unix:/run/x.sock", Unix("/run/x.sock")),
        ("unix:x y,é.sock", Unix("x y,é.sock")),
        ("unix:" + "x" * 107, Unix("x" * 107)),
        ("systemd", Passed()),
        ("systemd:web", Passed("web")),
        ("systemd:80", Passed("80")),
        ("systemd:" + "x" * 255, Passed("x" * 255)),
        ("fd:0", Descriptor(0)),
        ("fd:3", Descriptor(3)),
        ("fd:10", Descriptor(10)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "8080", ":8080", "localhost", "localhost:", "localhost:http", "localhost:65536", "localhost:-1",
        "127.0.0.1:80 ", "127.0.0.1:80\n", "127.0.0.1:\uff18\uff10", "127.1:80", "256.0.0.1:80", "010.0.0.1:80", ".:80",
        "::1:80", "[::1]", "[::1]80", "[:::1]:80", "[localhost]:80", "[fe80::1%]:80", "-a:80", "a-:80", "é.org:80", "\u212a:80", "a b:80",
        "http://localhost:80", "unix:", "unix:@abstract", "unix:a\0b", "unix:a\nb", "unix:\udcff",
        "UNIX:/x",
        "systemd:", "systemd:a:b", "systemd:é", "systemd:a\n", "systemd:" + "x" * 256, "fd:", "fd:1", "fd:2", "fd:03", "fd:-1",
        "fd:x", "fd:1234567",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


def test_a_path_that_the_kernel_has_no_room_for_is_told_as_that() -> None:
    with pytest.raises(ValueError, match=r"at most 107 bytes \(unix\(7\)\), got \"unix:éé"):
        parse_address("unix:" + "é" * 54)


hosts = st.ip_addresses().map(str) | st.from_regex(r"[a-z][a-z0-9]{0,20}(\.[a-z][a-z0-9]{0,20}){0,3}", fullmatch=True)
paths = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=20).filter(
    lambda path: path[0] != "@"
)


fd_names = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, blacklist_characters=":"), min_size=1, max_size=9
)
foreign = st.just(Passed()) | st.builds(Passed, fd_names) | st.builds(Descriptor, st.integers(3, 999_999))


@given(
    st.builds(Inet, hosts.filter(lambda host: host not in ("fd", "systemd")), st.integers(0, 65535))
    | st.builds(Unix, paths)
    | foreign
)
def test_an_address_written_is_read_as_the_same(address: Address) -> None:
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("80", "127.0.0.1:80"),
        (":80", "0.0.0.0:80"),
        ("*:80", "0.0.0.0:80"),
        ("localhost", "localhost:8080"),
        ("http://localhost:80/", "localhost:80"),
        ("/run/shop.sock", "unix:/run/shop.sock"),
        ("localhost:99999", ""),
        ("a b", ""),
        ("", ""),
    ],
)
def test_an_address_as_others_write_it_leads_to_ours(text: str, meant: str) -> None:
    assert meant_address(text) == meant
