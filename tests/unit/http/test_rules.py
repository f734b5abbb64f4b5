"""Each rule of the corpus, by section: what is answered, however it arrives, and what the table of faults says."""

import re
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prefork.http.faults import FAULTS, Fault, fault
from prefork.http.head import FIELD_LINES, REQUEST_LINE, HeadParser, Heads
from prefork.http.messages import Limits, Peer, Response
from prefork.http.protocol import Protocol
from prefork.http.proxy import SIGNATURE
from prefork.http.response import CONTINUE
from prefork.http.service import Service
from prefork.http.waiting import Waiting
from tests.corpus import CASES, PROXY_HEADERS, TLS_HELLO, Case, get
from tests.unit.http.heads import outcome, told

STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
HEADS = [case.sent.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for case in CASES]
LINES = [
    b"Host: b\r\n", b"host:c\r\n", b"Hostile: a\r\n", b"Connection: keep-alive\r\n", b"connection:Keep-Alive\r\n", b"Cookie: a\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive, close\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
    b"Content-Lengths: 5\r\n", b"Expect: 100-continue\r\n", b"Expects: a\r\n", b"Transfer-Encoding: chunked\r\n", b"TE: a\r\n",
    b"X : a\r\n", b" a\r\n", b"\r\n", b"\n", b"\r", b"\x00", b"Connection: keep-alive\t \r\n",
]  # fmt: skip


def answers(pieces: Iterable[bytes], limits: Limits | None = None) -> tuple[list[int], Protocol, bytes]:
    """Return the statuses of the answers to a new connection, with what is left of it, and their bytes."""
    service = Service(lambda _request, _peer, _content: Response(200, (), b"x"), limits or Limits())
    service.renderer.set_date(b"Sun, 06 Nov 1994 08:49:37 GMT")
    protocol = Protocol(service, Peer(b"127.0.0.1"))
    said = b"".join(map(protocol.receive, pieces))
    return [int(status) for status in STATUS.findall(said)], protocol, said


def by_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}, {case.rule}")
def test_each_rule_is_kept_however_the_bytes_arrive(case: Case) -> None:
    at_once = answers([case.sent])[2].replace(CONTINUE, b"")
    for pieces in [case.sent], by_bytes(case.sent):
        statuses, protocol, said = answers(pieces)
        says_less = case.sent.startswith((TLS_HELLO, SIGNATURE)) and len(pieces) > 1  # by its first bytes alone
        assert said.replace(CONTINUE, b"") == at_once or says_less
        without_continue = tuple(status for status in statuses if status != 100)
        assert without_continue == tuple(status for status in case.answers if status != 100)
        assert said.startswith(CONTINUE) or case.answers != (100,)
        if case.is_refused:
            assert (protocol.waiting_for, protocol.keep_alive) == (Waiting.NOTHING, False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}, {case.rule}")
def test_every_final_answer_says_date_length_and_whether_the_connection_goes_on_rfc9112_9(case: Case) -> None:
    _, protocol, said = answers([case.sent])
    heads = [each for each in re.split(rb"(?=HTTP/1\.1 [0-9]{3} )", said) if each and not each.startswith(CONTINUE)]
    for number, head in enumerate(heads):
        goes_on = number < len(heads) - 1 or protocol.keep_alive
        assert head.count(b"\r\nDate: ") == head.count(b"\r\nContent-Length: ") == 1
        said_close, said_keep = (b"\r\nConnection: %b\r\n" % option in head for option in (b"close", b"keep-alive"))
        assert said_close is not goes_on
        assert not said_keep or b"HTTP/1.0" in case.sent


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: f"{row.section}, {row.reason}")
def test_each_row_of_the_table_of_faults_is_what_some_request_is_told(row: Fault) -> None:
    told_faults = set()
    for head in HEADS:
        line = REQUEST_LINE(head.removeprefix(b"\r\n") if not head.startswith(b"\r\n\r\n") else head)
        if line is None or not FIELD_LINES(line.string, line.end()):
            rejection = fault(head)
            told_faults.add((rejection.status, rejection.reason))
    assert (row.status, row.reason) in told_faults


def test_tls_on_the_plain_port_is_told_as_such_at_its_first_bytes_rfc9112_2_2() -> None:
    _, _, said = answers([b"\x16\x03"])
    assert said.endswith(b"\r\n\r\nTLS on a port that speaks plain HTTP\n")


def test_a_header_of_the_second_version_of_the_proxy_protocol_is_told_as_one() -> None:
    header = PROXY_HEADERS[1]
    for pieces in [header + get()], [header, get()], [SIGNATURE + b"\x20\x00\x00\x00"]:
        _, _, said = answers(pieces)
        assert said.endswith(b"\r\n\r\nPROXY header of an unknown proxy\n")
    for pieces in [b"\r\n\r\n" + get()], [b"\r\n\r\n"], [b"\r\n", b"\r\n"], [get() + header]:
        _, _, said = answers(pieces)
        assert said.endswith(b"\r\n\r\nmore than one empty line before a request\n")


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Return a head of known lines, or one of the corpus with a few bytes changed."""
    if draw(st.booleans()):
        method = draw(st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"BREW"]))
        target = draw(st.sampled_from([b"/", b"/a?b[c]=%41", b"/%4", b"*", b"http://b/", b"/a|b"]))
        lines = draw(st.lists(st.sampled_from(LINES), max_size=4))
        at = draw(st.integers(0, len(lines)))
        host = draw(st.sampled_from([b"", b"Host: a\r\n", b"HOST:\ta:80 \r\n", b"Host: %41\r\n", b"Host: a b\r\n"]))
        head = get(target, b"".join([*lines[:at], host, *lines[at:]]), method=method, host=b"")
    else:
        head = draw(st.sampled_from([each for each in HEADS if len(each) < 500]))
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(head)))
            head = head[:at] + draw(st.binary(max_size=2)) + head[at + draw(st.integers(0, 2)) :]
    return (head + b"\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


@given(head=heads())
@example(head=get())
@example(head=get(lines=b"Connection: keep-alive\r\n"))
def test_what_is_plain_is_parsed_as_it_would_be_if_nothing_were(head: bytes) -> None:
    assert outcome(HeadParser(Limits()).parse, head) == outcome(HeadParser(Limits()).parse_any, head)


@given(head=heads())
def test_what_is_remembered_is_what_is_parsed(head: bytes) -> None:
    remembering = Heads(Limits())
    assert [outcome(remembering.get, head) for _ in range(3)] == [outcome(HeadParser(Limits()).parse, head)] * 3
    request = remembering.get_plain(head)
    assert request is None or told(request) == outcome(HeadParser(Limits()).parse, head)


@pytest.mark.parametrize("limits", [Limits(request_line=30), Limits(head=60), Limits(fields=2), Limits(40, 80, 4)])
@given(head=heads())
def test_what_is_plain_meets_the_same_limits(limits: Limits, head: bytes) -> None:
    assert outcome(HeadParser(limits).parse, head) == outcome(HeadParser(limits).parse_any, head)


@pytest.mark.parametrize(
    "head",
    [
        get(),
        get(host=b"Host:www.example-1.org:8080\r\n"),
        get(method=b"HEAD"),
        get(b"/a?b=%41", b"Accept: */*\r\nCookie: a=b\r\nTE: trailers\r\nETag: a\r\nConnection: keep-alive\r\n"),
    ],
)
def test_what_browsers_send_is_plain(head: bytes) -> None:
    assert HeadParser(Limits()).parse_plain(head) is not None


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: close", b"Connection: keep-alive, close", b"Connection: \t", b"Content-Length: 5", b"Expect: 100-continue", b"Host: b",
        b"Transfer-Encoding: chunked",
    ],
)  # fmt: skip
@pytest.mark.parametrize("cased", [bytes, bytes.lower, bytes.upper, bytes.swapcase])
def test_what_means_something_is_not_plain(line: bytes, cased: Callable[[bytes], bytes]) -> None:
    name, colon, value = line.partition(b":")
    line = cased(name) + colon + value + b"\r\n"
    for head in get(lines=line), get(lines=b"X: a\r\n" + line), get(host=line + b"Host: a\r\n"):
        assert HeadParser(Limits()).parse_plain(head) is None


@pytest.mark.parametrize(
    "head",
    [
        get(method=b"POST"), get(method=b"OPTIONS"), get(b"http://b/"), get(b"*"), get(host=b""), get(host=b"Host: [::1]\r\n"),
        get(host=b"Host: :80\r\n"), get(host=b"Host: a b\r\n"), get(host=b"X-Host: a\r\n"), get().replace(b"/1.1", b"/1.0"), b"\r\n" + get(),
        get() * 2, get() + b"x", get()[:-1], get(lines=b"X : a\r\n"), get(lines=b"X: a\x00\r\n"), get(lines=b" a\r\n"),
    ],
)  # fmt: skip
def test_nor_is_what_is_anything_else_than_one_whole_get_or_head_of_http_1_1(head: bytes) -> None:
    assert HeadParser(Limits()).parse_plain(head) is None


@given(cases=st.lists(st.sampled_from(CASES), min_size=1, max_size=4), cuts=st.lists(st.integers(0, 600), max_size=6))
def test_any_split_of_the_corpus_gives_the_same_answers(cases: list[Case], cuts: list[int]) -> None:
    stream = b"".join(case.sent for case in cases)
    edges = sorted(cut % (len(stream) + 1) for cut in cuts)
    pieces = [stream[start:end] for start, end in zip([0, *edges], [*edges, len(stream)], strict=True)]
    whole, _, _ = answers([stream])
    assert [each for each in answers(pieces)[0] if each != 100] == [each for each in whole if each != 100]


@given(
    parts=st.lists(
        st.sampled_from([b"\n", b"\r", b"a" * 30, b"GET / ", b"HTTP/1.1\r\n", b"X: a\r\n", b"\r\n"]), max_size=9
    ),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_any_split_of_what_is_both_malformed_and_too_long_is_refused_alike(parts: list[bytes], cuts: list[int]) -> None:
    stream, limits = b"".join(parts) + b"\r\n\r\n", Limits(40, 80, 4)
    edges = sorted(cut % (len(stream) + 1) for cut in cuts)
    pieces = [stream[start:end] for start, end in zip([0, *edges], [*edges, len(stream)], strict=True)]
    assert answers(pieces, limits)[0] == answers([stream], limits)[0] == answers(by_bytes(stream), limits)[0]
