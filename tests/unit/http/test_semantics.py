"""What the fields of a request mean, rule by rule (RFC 9110, RFC 9112)."""

from ipaddress import AddressValueError, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.http.messages import CLOSE, FRAMINGS, KEEP, KEEP_SAID, Fields, Meaning, Rejection
from prefork.http.semantics import IS_HOST, understand

HOST = (b"host", b"example.org")


def meaning(*fields: tuple[bytes, bytes], method: bytes = b"GET", minor: int = 1) -> Meaning:
    return understand(method, minor, (HOST, *fields))


def refusal(*fields: tuple[bytes, bytes], method: bytes = b"GET", minor: int = 1) -> int:
    with pytest.raises(Rejection) as caught:
        understand(method, minor, fields)
    return caught.value.status


def test_http_1_1_without_host_is_refused_rfc9112_3_2() -> None:
    assert refusal() == 400


def test_http_1_0_needs_no_host_rfc9112_3_2() -> None:
    assert understand(b"GET", 0, ()).body_length == 0


@pytest.mark.parametrize("minor", [0, 1])
def test_host_twice_is_refused_though_equal_rfc9112_3_2(minor: int) -> None:
    assert refusal(HOST, HOST, minor=minor) == 400


@pytest.mark.parametrize(
    "value",
    [
        b"", b"a", b"example.org", b"example.org:8080", b"example.org:", b"127.0.0.1", b"[::1]", b"[::1]:80",
        b"[fe80::1.2.3.4]", b"[::]", b"[1:2:3:4:5:6:7:8]", b"[v1.a:b]", b"%41%c3%bc", b"a!$&'()*+,;=", b"xn--bcher-kva.example", b"under_score", b"a~b", b"%41",
    ],
)  # fmt: skip
def test_a_valid_host_is_accepted_rfc9110_7_2(value: bytes) -> None:
    assert understand(b"GET", 1, ((b"host", value),)) == Meaning(FRAMINGS[KEEP, False])


@pytest.mark.parametrize(
    "value",
    [
        b"a b", b"a\tb", b"a/b", b"user@a", b"a?b", b"a#b", b"a\\b", b"a:b", b"a:80:80", b"a:+80", b"a:80 ", b":80", b":", b"::1", b"[::1",
        b"[::1]a", b"[]", b"[x]", b'"a"', b"<a>", b"a|b", b"\xe9", b"a\x00", b"http://a",
        b"%", b"%4", b"%zz", b"a%", b"a%%41", b"[1.2.3.4]", b"[1:2]", b"[:::1]", b"[::1::2]", b"[1:2:3:4:5:6:7:8:9]", b"[12345::]",
        b"[::1.2.3.256]", b"[fe80::1%25eth0]", b"[v1.]", b"[v.a]", b"[vg.a]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("minor", [0, 1])
def test_an_invalid_host_is_refused_rfc9112_3_2(value: bytes, minor: int) -> None:
    assert refusal((b"host", value), minor=minor) == 400


@given(st.text("0123456789abcF:.", max_size=20) | st.ip_addresses(v=6).map(str))
def test_a_host_in_brackets_is_an_ipv6_address_rfc3986_3_2_2(address: str) -> None:
    try:
        expected = bool(IPv6Address(address))
    except AddressValueError:
        expected = False
    assert bool(IS_HOST(b"[%b]" % address.encode())) is expected


@pytest.mark.parametrize("value", [b"0", b"00", b"5", b"005", b"123456789012345678"])
def test_content_length_is_one_decimal_number_rfc9110_8_6(value: bytes) -> None:
    assert meaning((b"content-length", value)).body_length == int(value)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"+5", b"-5", b"5.0", b"5e1", b"0x5", b"5_0", b"5 5", b"5,5", b"5, 5", b"5,", b"five", b"\xb2",
        "\u0665".encode(), b"1234567890123456789", b"18446744073709551621",
    ],
)  # fmt: skip
def test_any_other_content_length_is_refused_rfc9112_6_3(value: bytes) -> None:
    assert refusal(HOST, (b"content-length", value)) == 400


@pytest.mark.parametrize("second", [b"5", b"6"])
def test_content_length_twice_is_refused_equal_or_not_rfc9112_6_3(second: bytes) -> None:
    assert refusal(HOST, (b"content-length", b"5"), (b"content-length", second)) == 400


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED"])
def test_chunked_makes_the_length_unknown_rfc9112_6_1(value: bytes) -> None:
    assert meaning((b"transfer-encoding", value)).body_length is None


@pytest.mark.parametrize(
    "value",
    [
        b"gzip",
        b"identity",
        b"gzip, chunked",
        b"gzip;q=1, chunked",
        b"gzip \t;q=1",
        b"xchunked",
        b"chunkedx",
        b"chunke",
        b"'chunked'",
    ],
)
def test_any_other_transfer_coding_is_not_implemented_rfc9112_6_1(value: bytes) -> None:
    assert refusal(HOST, (b"transfer-encoding", value)) == 501
    assert refusal(HOST, *[(b"transfer-encoding", coding) for coding in value.split(b",")]) == 501


@pytest.mark.parametrize(
    "value", [b"chunked, gzip", b"chunked, chunked", b"chunked,gzip,chunked", b"gzip, chunked, chunked"]
)
def test_chunked_is_the_last_coding_and_once_rfc9112_6_3(value: bytes) -> None:
    assert refusal(HOST, (b"transfer-encoding", value)) == 400
    assert refusal(HOST, *[(b"transfer-encoding", coding) for coding in value.split(b",")]) == 400


@pytest.mark.parametrize(
    "value",
    [
        b"", b",", b"chunked,", b",chunked", b"chunked;q=1", b"chunked ;q=1", b"chunked\t;q=1", b"chunked;", b'"chunked"', b"chunked\x0b",
        b"chunked\x00", b"chunked\xa0", b"chun ked", b"gzip, , chunked",
    ],
)  # fmt: skip
def test_a_malformed_transfer_coding_is_refused_rfc9112_7(value: bytes) -> None:
    assert refusal(HOST, (b"transfer-encoding", value)) == 400


@pytest.mark.parametrize("coding", [b"chunked", b"gzip"])
def test_transfer_encoding_in_http_1_0_is_refused_rfc9112_6_1(coding: bytes) -> None:
    assert refusal((b"transfer-encoding", coding), minor=0) == 400


LENGTH, CODING = (b"content-length", b"5"), (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize("fields", [(LENGTH, CODING), (CODING, LENGTH)])
@pytest.mark.parametrize("minor", [0, 1])
def test_content_length_with_transfer_encoding_is_refused_rfc9112_6_1(fields: Fields, minor: int) -> None:
    assert refusal(HOST, *fields, minor=minor) == 400


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
@pytest.mark.parametrize("body", [LENGTH, CODING])
def test_a_body_may_wait_for_100_continue_rfc9110_10_1_1(value: bytes, body: tuple[bytes, bytes]) -> None:
    assert meaning((b"expect", value), body).expects_continue


@pytest.mark.parametrize("minor", [0, 1])
def test_a_body_does_not_wait_unasked_rfc9110_10_1_1(minor: int) -> None:
    assert not meaning(LENGTH, minor=minor).expects_continue


def test_without_a_body_100_continue_is_overlooked_rfc9110_10_1_1() -> None:
    assert not meaning((b"expect", b"100-continue")).expects_continue


def test_100_continue_in_http_1_0_is_overlooked_rfc9110_10_1_1() -> None:
    assert not meaning((b"expect", b"100-continue"), LENGTH, minor=0).expects_continue


@pytest.mark.parametrize("value", [b"100-continue,", b", 100-continue", b"100-continue ,\t,100-Continue"])
def test_empty_expectations_of_a_list_are_overlooked_rfc9110_5_6_1_2(value: bytes) -> None:
    assert meaning((b"expect", value), LENGTH).expects_continue


@pytest.mark.parametrize("value", [b"", b",", b" , ,"])
def test_a_list_without_expectations_expects_nothing_rfc9110_5_6_1_2(value: bytes) -> None:
    assert not meaning((b"expect", value), LENGTH).expects_continue


def test_two_lines_that_expect_the_same_are_one_list_rfc9110_5_3() -> None:
    assert meaning((b"expect", b""), (b"expect", b"100-continue"), LENGTH).expects_continue


@pytest.mark.parametrize("value", [b"200-ok", b"100-continue, more", b"more,", b"100-continue=1"])
def test_another_expectation_fails_rfc9110_10_1_1(value: bytes) -> None:
    assert refusal(HOST, (b"expect", value), LENGTH) == 417


def test_one_of_two_expectations_fails_rfc9110_10_1_1() -> None:
    assert refusal(HOST, (b"expect", b"100-continue"), (b"expect", b"more"), LENGTH) == 417


@pytest.mark.parametrize(
    ("minor", "options", "connection"),
    [
        (1, [], KEEP),
        (1, [b"close"], CLOSE),
        (1, [b"Close"], CLOSE),
        (1, [b"keep-alive"], KEEP),
        (1, [b"keep-alive, close"], CLOSE),
        (1, [b"close,keep-alive"], CLOSE),
        (1, [b"TE ,\tclose ,, x"], CLOSE),
        (1, [b"x", b"close"], CLOSE),
        (1, [b"closed", b"x-close"], KEEP),
        (1, [b"upgrade"], KEEP),
        (0, [], CLOSE),
        (0, [b"keep-alive"], KEEP_SAID),
        (0, [b"Keep-Alive"], KEEP_SAID),
        (0, [b"x, keep-alive"], KEEP_SAID),
        (0, [b"x", b"keep-alive"], KEEP_SAID),
        (0, [b"keep-alive, close"], CLOSE),
        (0, [b"upgrade"], CLOSE),
    ],
)
def test_version_and_connection_options_say_whether_it_goes_on_rfc9112_9_3(
    minor: int, options: list[bytes], connection: bytes
) -> None:
    fields = [(b"connection", each) for each in options]
    assert meaning(*fields, minor=minor).framing is FRAMINGS[connection, False]


@pytest.mark.parametrize("connection", [KEEP, CLOSE])
def test_the_answer_to_head_has_no_content_rfc9110_9_3_2(connection: bytes) -> None:
    fields = [(b"connection", b"close")] if connection is CLOSE else []
    assert meaning(*fields, method=b"HEAD").framing is FRAMINGS[connection, True]
