"""The patterns of the grammar, byte by byte, beside the sets of characters that the RFCs name."""

import re
from ipaddress import AddressValueError, IPv6Address
from itertools import product
from string import ascii_letters, digits, hexdigits

import pytest

from prefork.http.grammar import (
    ABSOLUTE_FORM,
    FIELD_LINE,
    HOST,
    METHODS,
    ORIGIN_FORM,
    QUOTED_STRING,
    SIMPLE_HOST,
    TOKEN,
    VALUE,
)

ALL = bytes(range(256))
VISIBLE = bytes(range(0x21, 0x7F))
OBS_TEXT = bytes(range(0x80, 0x100))
ALNUM = (ascii_letters + digits).encode()
HEX = hexdigits.encode()
TCHAR = ALNUM + b"!#$%&'*+-.^_`|~"  # RFC 9110 §5.6.2
REG_NAME = ALNUM + b"-._~" + b"!$&'()*+,;="  # RFC 3986 §2.2, §2.3: unreserved and sub-delims
PCHAR = REG_NAME + b":@"  # RFC 3986 §3.3


@pytest.mark.parametrize(
    ("pattern", "around", "allowed"),
    [
        (TOKEN, (b"", b""), TCHAR),
        (TOKEN, (b"a", b"b"), TCHAR),
        (VALUE, (b"", b""), VISIBLE + b" \t" + OBS_TEXT),
        (VALUE, (b"a", b"b"), VISIBLE + b" \t" + OBS_TEXT),
        (QUOTED_STRING, (b'"', b'"'), (VISIBLE + b" \t" + OBS_TEXT).translate(None, b'"\\')),  # RFC 9110 §5.6.4
        (QUOTED_STRING, (b'"\\', b'"'), VISIBLE + b" \t" + OBS_TEXT),
        (QUOTED_STRING, (b"", b'a"'), b'"'),
        (QUOTED_STRING, (b'"a', b""), b'"'),
        (ORIGIN_FORM, (b"", b""), b"/"),
        (ORIGIN_FORM, (b"/", b"a"), PCHAR + b"/?"),
        (ORIGIN_FORM, (b"/?", b"a"), PCHAR + b"/?[]"),  # RFC 3986 §3.4, and what browsers send
        (ORIGIN_FORM, (b"/%", b"0"), HEX),  # RFC 3986 §2.1
        (ORIGIN_FORM, (b"/%0", b"a%41"), HEX),
        (ORIGIN_FORM, (b"/?%0", b"a%41b"), HEX),
        (HOST, (b"", b""), REG_NAME),  # RFC 3986 §3.2.2
        (HOST, (b"a%41", b""), REG_NAME + b":"),
        (HOST, (b"a:", b"1"), digits.encode()),
        (HOST, (b"a:1", b""), digits.encode()),
        (HOST, (b"a%4", b":"), HEX),
        (HOST, (b"[::", b"]"), HEX),
        (HOST, (b"[v1.", b"]"), REG_NAME + b":"),
        (HOST, (b"[v1.a", b"]:80"), REG_NAME + b":"),
        (HOST, (b"[v", b".a]"), HEX),
        (HOST, (b"[", b"1.a]"), b"vV"),
        (SIMPLE_HOST, (b"", b""), ALNUM + b"-._"),
        (SIMPLE_HOST, (b"a", b""), ALNUM + b"-._:"),
        (SIMPLE_HOST, (b"a:1", b""), digits.encode()),
        (ABSOLUTE_FORM, (b"http://", b""), REG_NAME),  # RFC 9110 §4.2.1: never without a host
        (ABSOLUTE_FORM, (b"https://a", b""), REG_NAME + b":/?"),
        (ABSOLUTE_FORM, (b"http://a:", b""), digits.encode() + b"/?"),
        (ABSOLUTE_FORM, (b"http://a/", b"b"), PCHAR + b"/?"),
        (ABSOLUTE_FORM, (b"http://a?", b"b"), PCHAR + b"/?[]"),
        (ABSOLUTE_FORM, (b"HTTP", b"://[::1]"), b"sS"),
    ],
)
def test_of_all_bytes_those_that_the_rfc_names_may_stand_there(
    pattern: bytes, around: tuple[bytes, bytes], allowed: bytes
) -> None:
    before, after = around
    fits = re.compile(pattern).fullmatch
    assert bytes(each for each in ALL if fits(before + bytes([each]) + after)) == bytes(sorted(set(allowed)))


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        (TOKEN, [b"a", b"ab"], [b""]),
        (VALUE, [b"", b"a", b"a b"], []),
        (QUOTED_STRING, [b'""', b'"ab"', b'"\\"\\\\"', b'"ab\\c\\def"'], [b"", b'"', b'"\\"', b'"a" "b"']),
        (FIELD_LINE, [b"a:\r\n", b"a:b c\r\n"], [b"", b":\r\n", b"a\r\n", b"a:b", b"a:b\n", b"a:\r\nb:\r\n"]),
        (ORIGIN_FORM, [b"/", b"//", b"/%41%42a%43", b"/?", b"/%41bc", b"/?%41%42a%43", b"/a?b?"], [b"", b"?", b"a/"]),
        (HOST, [b"", b"a", b"a:", b"a:80", b"%41%42a%43", b"[::1]", b"[::1]:", b"[v1f.a:b]:80"],
            [b":", b":80", b"[]", b"a[::1]", b"[v1]", b"[v1.]", b"[v1a]", b"[v.a]"]),
        (SIMPLE_HOST, [b"", b"a", b"ab.c", b"a:", b"a:80"], [b":", b":80", b"a:80:"]),
        (ABSOLUTE_FORM, [b"http://a", b"https://a:80/b?c", b"http://a?b", b"HttpS://[::1]"], [b"http:a", b"http://?a", b"https:///a"]),
    ],
)  # fmt: skip
def test_what_may_be_empty_or_come_again(pattern: bytes, fitting: list[bytes], others: list[bytes]) -> None:
    assert [each for each in fitting + others if re.fullmatch(pattern, each)] == fitting


@pytest.mark.parametrize("at", range(4))
def test_a_part_of_an_ipv4_address_is_a_number_up_to_255_without_zeros_before_it_rfc3986_3_2_2(at: int) -> None:
    numbers = ["", *map(str, range(1000)), "00", "01", "001", "010", "1000"]
    around = "/:" if at else "/"  # the characters beside the digits; a group may stand before the first part
    numbers += [
        number[:place] + odd + number[place:] for number in ("", "1", "25") for place in range(3) for odd in around
    ]

    def literal(number: str) -> bytes:
        return "[::{}]".format(".".join([*["1"] * at, number, *["1"] * (3 - at)])).encode()

    assert [each for each in numbers if re.fullmatch(HOST, literal(each))] == [str(number) for number in range(256)]


def test_an_ipv4_address_has_four_parts_rfc3986_3_2_2() -> None:
    addresses = [".".join(["1"] * parts).encode() for parts in range(7)]
    assert [parts for parts, each in enumerate(addresses) if re.fullmatch(HOST, b"[::%b]" % each)] == [0, 1, 4]


@pytest.mark.parametrize("gap", ["", "::", ":::"])
@pytest.mark.parametrize("end", ["", "1.2.3.4"])
def test_an_ipv6_address_has_eight_groups_or_a_gap_rfc3986_3_2_2(gap: str, end: str) -> None:
    for before, after in product(range(10), repeat=2):
        address = ":".join(["1"] * before) + gap + ":".join(["f0aB"] * after + [end] * bool(end))
        try:
            expected = bool(IPv6Address(address))
        except AddressValueError:
            expected = False
        assert bool(re.fullmatch(HOST, b"[%b]" % address.encode())) is expected, address


def test_a_group_of_an_ipv6_address_has_up_to_four_digits_rfc3986_3_2_2() -> None:
    lengths = [length for length in range(7) if re.fullmatch(HOST, b"[::1:%b:1]" % (b"f" * length))]
    assert lengths == [1, 2, 3, 4]


def test_the_methods_are_those_of_the_registry_but_three_rfc9110_16_1() -> None:
    registry = (
        "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY "
        "MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND PROPPATCH PUT QUERY "
        "REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
    )
    assert set(METHODS) == set(registry.encode().split()) - {b"CONNECT", b"PRI", b"TRACE"}
