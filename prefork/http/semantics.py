"""What the fields of a request mean for its framing, by the rules of RFC 9110 and RFC 9112.

A rule is a function for one field name: it reads the values of that field and completes the draft, or refuses the
request. RULES is the list of them; a field that is not in it means nothing to the server itself. Parsing has been done
before, nothing here looks at bytes on the wire.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prefork.http.grammar import HOST, TOKEN, VALUE
from prefork.http.messages import CLOSE, FRAMINGS, KEEP, KEEP_SAID, Framing, Meaning, Rejection

IS_HOST: Final = re.compile(HOST).fullmatch
# RFC 9112 §7: token, then parameters, which chunked has none of (§7.1).
IS_CODING: Final = re.compile(rb"(?!chunked[ \t;])%b(?:[ \t]*;%b)?" % (TOKEN, VALUE)).fullmatch
DIGITS: Final = re.compile(rb"[0-9]{1,18}").fullmatch  # 18 digits are more than any limit and can't overflow


class Draft:
    """What the rules have found out so far."""

    __slots__ = ("body_length", "close", "expects_continue", "keep_alive", "minor")

    def __init__(self, minor: int) -> None:
        self.minor = minor
        self.close = False
        self.keep_alive = False
        self.body_length: int | None = 0
        self.expects_continue = False


def host(draft: Draft, values: Sequence[bytes]) -> None:
    """Accept one valid Host (RFC 9112 §3.2)."""
    if len(values) != 1:
        raise Rejection(400, "more than one Host field")
    if not IS_HOST(values[0]):
        raise Rejection(400, "invalid Host")


def connection(draft: Draft, values: Sequence[bytes]) -> None:
    """Read the persistence options (RFC 9112 §9.3)."""
    options = elements(values)
    draft.close = b"close" in options
    draft.keep_alive = b"keep-alive" in options


def content_length(draft: Draft, values: Sequence[bytes]) -> None:
    """Read the body's length in bytes; a repeated or listed one is refused, equal or not (RFC 9112 §6.3)."""
    if len(values) != 1 or not DIGITS(values[0]):
        raise Rejection(400, "Content-Length is not one decimal number")
    draft.body_length = int(values[0])


def transfer_encoding(draft: Draft, values: Sequence[bytes]) -> None:
    """Accept `chunked` alone (RFC 9112 §6.1, §6.3).

    An empty element beside it is refused, though RFC 9110 §5.6.1.2 has it overlooked: not everybody in front of us
    does that, and who reads another framing than we do smuggles requests.
    """
    if draft.minor == 0:
        raise Rejection(400, "Transfer-Encoding in HTTP/1.0")
    codings = elements(values)
    if not all(map(IS_CODING, codings)):
        raise Rejection(400, "malformed Transfer-Encoding")
    if b"chunked" in codings[:-1]:
        raise Rejection(400, "chunked is not the last transfer coding")
    if codings != [b"chunked"]:
        raise Rejection(501, "a transfer coding other than chunked")
    draft.body_length = None


def expect(draft: Draft, values: Sequence[bytes]) -> None:
    """Accept 100-continue, which an HTTP/1.0 client cannot have meant (RFC 9110 §10.1.1)."""
    expectations = set(elements(values)) - {b""}
    if expectations - {b"100-continue"}:
        raise Rejection(417, "an expectation other than 100-continue")
    draft.expects_continue = draft.minor > 0 and bool(expectations)


def elements(values: Sequence[bytes]) -> list[bytes]:
    """Return the elements of a list in lower case, with the empty ones (RFC 9110 §5.6.1)."""
    return [element.strip(b" \t").lower() for value in values for element in value.split(b",")]


RULES: Final[Mapping[bytes, Callable[[Draft, Sequence[bytes]], None]]] = {
    b"host": host,
    b"connection": connection,
    b"content-length": content_length,
    b"transfer-encoding": transfer_encoding,
    b"expect": expect,
}


def understand(method: bytes, minor: int, fields: Iterable[tuple[bytes, bytes]]) -> Meaning:
    """Return what a request means, by those of its fields that RULES names, with their names in lower case.

    Raises:
        Rejection: 400, 417 or 501, as the rule that it breaks says.
    """
    draft = Draft(minor)
    found: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    if b"content-length" in found and b"transfer-encoding" in found:
        raise Rejection(400, "both Content-Length and Transfer-Encoding")  # RFC 9112 §6.1: smuggling
    for name, values in found.items():
        RULES[name](draft, values)
    if b"host" not in found and minor > 0:
        raise Rejection(400, "no Host field")
    return Meaning(framing(draft, method), draft.body_length, draft.expects_continue and draft.body_length != 0)


def framing(draft: Draft, method: bytes) -> Framing:
    """Tell how the answer ends (RFC 9112 §9.3; RFC 9110 §9.3.2 for HEAD)."""
    if draft.close or (draft.minor == 0 and not draft.keep_alive):
        connection = CLOSE
    else:
        connection = KEEP_SAID if draft.minor == 0 else KEEP
    return FRAMINGS[connection, method == b"HEAD"]
