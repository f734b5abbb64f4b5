"""Requests by the rule that they keep or break, and what they are answered: the README's table, and what is fuzzed."""

from itertools import groupby
from typing import Final

from msgspec import Struct


class Case(Struct, frozen=True):
    """Bytes that a client sends on a new connection, and the statuses of all answers to them."""

    section: str
    rule: str
    sent: bytes
    answers: tuple[int, ...]

    @property
    def is_refused(self) -> bool:
        """Whether the last answer closes the connection because something is wrong."""
        return self.answers[-1] >= 400


def get(target: bytes = b"/", lines: bytes = b"", *, host: bytes = b"Host: a\r\n", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (method, target, host, lines)


def post(lines: bytes, body: bytes = b"") -> bytes:
    return get(b"/", lines, method=b"POST") + body


CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
TLS_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32))
PROXY_HEADERS: Final = (
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),  # version 2
)
EXTENSIONS: Final = b"1;%b\r\na\r\n" % (b"x" * 4000) * 5 + b"0\r\n\r\n"

# fmt: off
CASES: Final = tuple(Case(section, rule, sent, answers) for section, rule, *rows in (
    ("RFC 9112 §2.2", "one empty line before a request is overlooked", (b"\r\n" + get(), (200,))),
    ("RFC 9112 §2.2", "a second one is not", (b"\r\n\r\n" + get(), (400,))),
    ("RFC 9112 §2.2", "a line ends with CR LF, not with LF alone",
        (b"GET / HTTP/1.1\nHost: a\n\n", (400,)), (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", (400,)), (b"\n" + get(), (400,))),
    ("RFC 9112 §2.2", "a CR stands before LF only",
        (get(lines=b"X: a\rb\r\n"), (400,)), (b"GET / HTTP/1.1\rHost: a\r\n\r\n", (400,)), (get(lines=b"X: a\r\r\n"), (400,))),
    ("RFC 9112 §2.2", "no white space between the request line and the first field", (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", (400,))),
    ("RFC 9112 §2.2", "TLS, or another protocol, on this port", (TLS_HELLO, (400,)), (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", (400,)),
        (b"\x00\x00\x00\x00", (400,)), (PROXY_HEADERS[0] + get(), (400,)), (b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x00" + get(), (400,))),
    ("RFC 9112 §2.3", "any HTTP/1.x is served as the highest that is known", (b"GET / HTTP/1.9\r\nHost: a\r\n\r\n" + get(), (200, 200)),
        (b"GET / HTTP/1.0\r\n\r\n", (200,))),
    ("RFC 9110 §15.6.6", "no other major version, the preface of HTTP/2 among them", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
        (b"GET / HTTP/0.9\r\n\r\n", (505,)), (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", (505,))),
    ("RFC 9112 §3", "method, target and version, with one space between them", (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", (400,)),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", (400,)), (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", (400,)), (b"GET /\r\n\r\n", (400,)),
        (b"GET / http/1.1\r\nHost: a\r\n\r\n", (400,)), (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", (400,)), (b"G(T / HTTP/1.1\r\n\r\n", (400,)),
        (b"GET /\r\n", (400,))),
    ("RFC 9112 §3", "the request line is bounded", (get(b"/" + b"a" * 9000), (414,)), (b"GET /" + b"a" * 9000, (414,))),
    ("RFC 9112 §3.2", "the target is a URI: no fragment, no character that has to be encoded", (get(b"/#a"), (400,)), (get(b'/"'), (400,)),
        (get(b"/<a>"), (400,)), (get(b"/a\\b"), (400,)), (get(b"/?a=^"), (400,)), (get(b"/{a}"), (400,)), (get(b"/a|b"), (400,)),
        (get(b"/\xe9"), (400,)), (get(b"/\x7f"), (400,)), (get(b"/[a]"), (400,)), (get(b"/`"), (400,))),
    ("RFC 3986 §3.4", "but `[` and `]` in a query, as browsers send them", (get(b"/?a[b]=c"), (200,))),
    ("RFC 3986 §2.1", "a percent sign has two hexadecimal digits", (get(b"/%zz"), (400,)), (get(b"/%4"), (400,)), (get(b"/?%"), (400,)),
        (get(b"/%c3%A4?%00"), (200,))),
    ("RFC 9112 §3.2.2", "absolute-form is served, and its host wins over Host", (get(b"http://b:80/c?d"), (200,)), (get(b"HTTP://[::1]"), (200,))),
    ("RFC 9110 §4.2.1", "never without a host", (get(b"http:///a"), (400,)), (get(b"http://:80/"), (400,)), (get(b"ftp://a/"), (400,)),
        (get(host=b"Host: :80\r\n"), (400,))),
    ("RFC 9110 §4.2.4", "nor with a user in it", (get(b"http://user:secret@a/"), (400,))),
    ("RFC 9110 §7.4", "nor for https without TLS, but from a trusted proxy", (get(b"https://a/"), (421,))),
    ("RFC 9112 §3.2.3", "authority-form is for CONNECT, which is refused", (get(b"a:80", method=b"CONNECT"), (405,)), (get(b"a:80"), (400,))),
    ("RFC 9112 §3.2.4", "asterisk-form is for OPTIONS", (get(b"*", method=b"OPTIONS"), (200,)), (get(b"*"), (400,))),
    ("RFC 9110 §9.1", "methods are those of the registry, in their case", (get(method=b"PROPFIND"), (200,)), (get(method=b"BREW"), (501,)),
        (get(method=b"get"), (501,)), (get(method=b"SETUP"), (501,))),
    ("RFC 9110 §9.3.2", "HEAD is answered as GET, without content", (get(method=b"HEAD"), (200,)), (get(method=b"HEAD", host=b""), (400,))),
    ("RFC 9110 §9.3.8", "TRACE is refused: it would echo what may be secret", (get(method=b"TRACE"), (405,))),
    ("RFC 9112 §3.2", "HTTP/1.1 has one valid Host", (get(host=b""), (400,)), (get(lines=b"Host: a\r\n"), (400,)), (get(host=b"Host: a b\r\n"), (400,)),
        (get(host=b"Host: %zz\r\n"), (400,)), (get(host=b"Host: a/b\r\n"), (400,)), (get(host=b"Host: u@a\r\n"), (400,)),
        (get(host=b"Host: [1.2.3.4]\r\n"), (400,)), (get(host=b"Host: a:b\r\n"), (400,)), (get(host=b"Host:\r\n"), (200,)),
        (get(host=b"Host: [::1]:80\r\n"), (200,))),
    ("RFC 9112 §5", "a field line is a name, a colon and a value", (get(lines=b"X\r\n"), (400,)), (get(lines=b": a\r\n"), (400,)),
        (get(lines=b"X: \t a:b \xe9 \t\r\n"), (200,))),
    ("RFC 9110 §5.1", "a field name is a token", (get(lines=b"X Y: a\r\n"), (400,)), (get(lines=b"X\xe9: a\r\n"), (400,)), (get(lines=b'"X": a\r\n'), (400,))),
    ("RFC 9112 §5.1", "no white space before the colon", (get(lines=b"X : a\r\n"), (400,)), (post(b"Content-Length\t: 5\r\n"), (400,))),
    ("RFC 9112 §5.2", "no folded lines", (get(lines=b"X: a\r\n b\r\n"), (400,)), (post(b"Transfer-Encoding:\r\n\tchunked\r\n"), (400,))),
    ("RFC 9110 §5.5", "no NUL and no control character in a value", (get(lines=b"X: a\x00\r\n"), (400,)), (get(lines=b"X: \x1b[0m\r\n"), (400,)),
        (get(lines=b"X: a\x7f\r\n"), (400,))),
    ("RFC 6585 §5", "a head is bounded, in bytes and in lines", (get(lines=b"X: %b\r\n" % (b"a" * 33000)), (431,)), (get(lines=b"X: a\r\n" * 101), (431,))),
    ("RFC 9110 §8.6", "Content-Length is one decimal number", (post(b"Content-Length: 5\r\n", b"Hello") + get(), (200, 200)),
        (post(b"Content-Length: +5\r\n"), (400,)), (post(b"Content-Length: 0x5\r\n"), (400,)), (post(b"Content-Length: -1\r\n"), (400,)),
        (post(b"Content-Length:\r\n"), (400,)), (post(b"Content-Length: 18446744073709551621\r\n"), (400,))),
    ("RFC 9112 §6.3", "once, though a second says the same", (post(b"Content-Length: 5\r\n" * 2, b"Hello"), (400,)),
        (post(b"Content-Length: 5, 5\r\n"), (400,)), (post(b"Content-Length: 5\r\nContent-Length: 6\r\n"), (400,))),
    ("RFC 9112 §6.1", "never with Transfer-Encoding (request smuggling)", (post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"), (400,)),
        (post(CHUNKED + b"Content-Length: 0\r\n"), (400,))),
    ("RFC 9112 §6.1", "no Transfer-Encoding in HTTP/1.0", (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", (400,))),
    ("RFC 9112 §6.1", "no transfer coding but chunked", (post(b"Transfer-Encoding: gzip\r\n"), (501,)), (post(b"Transfer-Encoding: gzip, chunked\r\n"), (501,)),
        (post(b"Transfer-Encoding: xchunked\r\n"), (501,))),
    ("RFC 9112 §6.3", "that one last, and once", (post(b"Transfer-Encoding: chunked, gzip\r\n"), (400,)), (post(CHUNKED * 2), (400,)),
        (post(b"Transfer-Encoding: chunked\x0b\r\n"), (400,))),
    ("RFC 9110 §5.6.1.2", "nor an empty element beside it, which others may read as another coding",
        (post(b"Transfer-Encoding: chunked,\r\n", b"0\r\n\r\n"), (400,)), (post(b"Transfer-Encoding: , chunked\r\n", b"0\r\n\r\n"), (400,))),
    ("RFC 9112 §7.1", "chunks are as long as they say", (post(CHUNKED, b"5\r\nHello\r\n0\r\n\r\n") + get(), (200, 200)),
        (post(CHUNKED, b"5\r\nHello!\r\n0\r\n\r\n"), (400,)), (post(CHUNKED, b"5\nHello\r\n0\r\n\r\n"), (400,)), (post(CHUNKED, b"0x5\r\n"), (400,)),
        (post(CHUNKED, b"-5\r\n"), (400,)), (post(CHUNKED, b"fffffffffffffffff\r\n"), (400,)), (post(CHUNKED, b"5\r\nHello\n0\r\n\r\n"), (400,)),
        (post(CHUNKED, b"5\n"), (400,))),
    ("RFC 9112 §7.1.1", "chunk extensions mean nothing, and are bounded in all", (post(CHUNKED, b'1;a="b c"\r\na\r\n0;x\r\n\r\n') + get(), (200, 200)),
        (post(CHUNKED, EXTENSIONS), (400,)), (post(CHUNKED, b"1;a\nb\r\na\r\n0\r\n\r\n"), (400,))),
    ("RFC 9112 §7.1.1", "but they keep to their grammar: behind a quote that is left open a request could hide",
        (post(CHUNKED, b'1 ; a = "\\"b\\\\" ;\tc=d\r\na\r\n0\r\n\r\n') + get(), (200, 200)),
        (post(CHUNKED, b'1;a="\r\na\r\n0\r\n\r\n' + get() + b'"\r\n'), (400,)), (post(CHUNKED, b'1;a="\\"\r\na\r\n0\r\n\r\n'), (400,)),
        (post(CHUNKED, b"1;\r\na\r\n0\r\n\r\n"), (400,)), (post(CHUNKED, b"1;a b\r\na\r\n0\r\n\r\n"), (400,)),
        (post(CHUNKED, b"1;a=\r\na\r\n0\r\n\r\n"), (400,)), (post(CHUNKED, b"1 \r\na\r\n0\r\n\r\n"), (400,))),
    ("RFC 9112 §7.1.2", "trailers are checked, bounded, and never merged into the fields", (post(CHUNKED, b"0\r\nContent-Length: 9\r\n\r\n") + get(), (200, 200)),
        (post(CHUNKED, b"0\r\nX : a\r\n\r\n"), (400,)), (post(CHUNKED, b"0\r\nX: a\n"), (400,)), (post(CHUNKED, b"0\r\nX: %b\r\n\r\n" % (b"a" * 17000)), (431,))),
    ("RFC 9110 §15.5.14", "a body is bounded, by what it says before it comes", (post(b"Content-Length: 99999999999\r\n"), (413,)),
        (post(CHUNKED, b"fffffffff\r\n"), (413,))),
    ("RFC 9110 §10.1.1", "100 (Continue) is sent when the body is wanted and has not begun", (post(b"Content-Length: 5\r\nExpect: 100-continue\r\n"), (100,)),
        (post(b"Content-Length: 5\r\nExpect: 100-continue\r\n", b"Hello"), (200,)), (get(lines=b"Expect: 100-continue\r\n"), (200,))),
    ("RFC 9110 §10.1.1", "there is no other expectation", (get(lines=b"Expect: miracles\r\n"), (417,)),
        (get(lines=b"Expect: 100-continue, miracles\r\n"), (417,))),
    ("RFC 9110 §5.6.1.2", "an empty element of that list is none", (post(b"Content-Length: 5\r\nExpect: 100-continue,\r\n"), (100,)),
        (get(lines=b"Expect:\r\n"), (200,))),
    ("RFC 9110 §7.8", "Upgrade is ignored", (get(lines=b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\n") + get(), (200, 200))),
    ("RFC 9112 §9.3", "HTTP/1.1 is kept alive, HTTP/1.0 where it asks", (get(lines=b"Connection: close\r\n") + get(), (200,)),
        (b"GET / HTTP/1.0\r\n\r\n" + get(), (200,)), (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" + get(), (200, 200))),
    ("RFC 9112 §9.3.2", "pipelined requests are answered in their order", (get() * 5, (200,) * 5)),
    ("RFC 9112 §9.6", "after a refused request nothing is answered", (get() + get(host=b"") + get() * 3, (200, 400))),
) for sent, answers in rows)
# fmt: on


def table() -> str:
    """Return the README's table: a row a rule, with the statuses of the last answers to what breaks or keeps it."""
    lines = ["| rule | RFC | what is answered |", "| --- | --- | --- |"]
    for (section, rule), cases in groupby(CASES, lambda case: (case.section, case.rule)):
        statuses = ", ".join(str(status) for status in dict.fromkeys(case.answers[-1] for case in cases))
        lines.append(f"| {rule} | {section.removeprefix('RFC ')} | {statuses} |")
    return "\n".join(lines) + "\n"
