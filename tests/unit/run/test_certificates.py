"""Which certificate goes by the name that a client asks for."""

import ssl

import pytest

from prefork.run.certificates import chosen

EXACT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
WILD = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
KNOWN = {"a.example": EXACT, "*.example": WILD}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.example", EXACT),
        ("A.Example", EXACT),
        ("b.example", WILD),
        ("a.b.example", None),
        ("example", None),
        ("", None),
        ("*.example", WILD),
    ],
)
def test_the_whole_name_goes_before_the_wildcard_which_is_one_label(name: str, found: ssl.SSLContext | None) -> None:
    """RFC 9525 §6.3."""
    assert chosen(KNOWN, name) is found
