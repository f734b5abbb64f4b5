"""Whom to believe."""

import pytest

from prefork.http.trust import trusting


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        (b"127.0.0.1", True), (b"127.0.0.2", False), (b"10.255.1.2", True), (b"11.0.0.1", False), (b"2001:db8::1", True),
        (b"2001:db9::1", False), (b"unix:", False), (b"-", False), (b"\xff", False),
    ],
)  # fmt: skip
def test_only_addresses_of_the_networks_are_trusted(address: bytes, *, trusted: bool) -> None:
    assert trusting(["127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32"])(address) is trusted


def test_unix_sockets_are_trusted_where_that_is_said_and_no_others_are() -> None:
    assert trusting(["unix:"])(b"unix:")
    assert not trusting(["unix:"])(b"127.0.0.1")
    assert not trusting([])(b"unix:")


@pytest.mark.parametrize("address", [b"192.0.2.1", b"2001:db8::1", b"unix:"])
def test_a_star_stands_for_all(address: bytes) -> None:
    assert trusting(["*"])(address)
