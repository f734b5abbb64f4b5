"""How peers are named."""

import pytest

from prefork.worker.admitting import peer_name


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (("127.0.0.1", 8080), b"127.0.0.1"),
        (("::1", 8080, 0, 0), b"::1"),
        ("", b"unix:"),
        (b"", b"unix:"),
    ],
)
def test_a_peer_is_named_by_its_ip_address(address: object, name: bytes) -> None:
    assert peer_name(address) == name
