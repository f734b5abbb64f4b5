"""Whose a request is, by what trusted proxies say of it: X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239).

Each proxy appends what it knows of who connected to it, so the list is walked from its end: as long as whoever spoke is
trusted, its word holds. What comes before the first stranger, or before what can't be read, anybody may have written.

Forwarded is read only where there is no X-Forwarded-* at all: proxies that set those pass on a Forwarded that a client
made up.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from itertools import islice, zip_longest
from typing import Final

from msgspec import Struct

from prefork.http.grammar import HOST, TOKEN
from prefork.http.messages import Fields, Peer

MOST_HOPS: Final = 32  # proxies one behind the other; bounds what a long list costs
LARGEST_REMEMBERED: Final = 512  # bytes of fields
FORWARDED: Final = b"forwarded"
FOR, PROTO, HOSTS = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
READ: Final = frozenset({FORWARDED, FOR, PROTO, HOSTS})

_VALUE: Final = rb'(?:%b|"(?:[^"\\]|\\.)*")' % TOKEN
_PAIR: Final = rb"[ \t]*(%b)=(%b)[ \t]*" % (TOKEN, _VALUE)  # RFC 7239 §4; the white space is ours
_pairs: Final = re.compile(_PAIR).findall
_is_element: Final = re.compile(rb"%b(?:;%b)*" % (_PAIR, _PAIR), re.DOTALL).fullmatch
_unescaped: Final = re.compile(rb"\\(.)", re.DOTALL).sub
_is_host: Final = re.compile(HOST).fullmatch
_PORT: Final = rb"(?::(?:[0-9]{1,5}|_[0-9A-Za-z._-]+))?"
# RFC 7239 §6; in X-Forwarded-For, IPv6 addresses come without brackets too. No zone: that is a name that anybody can
# choose.
_node: Final = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))%b|([0-9A-Fa-f:.]+)" % _PORT).fullmatch


class Client(Struct, frozen=True):
    """Who sent a request, and how: `host` is empty where no proxy says another than the request itself."""

    address: bytes
    scheme: bytes
    host: bytes = b""


class Hop(Struct, frozen=True):
    """What one proxy says of who connected to it. Without an address it doesn't know, or nobody can read it."""

    address: bytes | None
    scheme: bytes = b""
    host: bytes = b""


class Forwarding:
    """What a worker believes, and remembers, of the proxies in front of it.

    `on_stranger` is told the first that speaks as a proxy and isn't trusted: its address, and the field by which.
    """

    def __init__(
        self, is_trusted: Callable[[bytes], bool], on_stranger: Callable[[bytes, bytes], object] | None = None
    ) -> None:
        self.is_trusted = is_trusted
        self._on_stranger = on_stranger
        self._remembered = lru_cache(maxsize=1024)(self._client)

    def believes(self, peer: Peer) -> bool:
        """Tell whether this peer is a trusted proxy, which speaks of its client."""
        return peer.is_known and self.is_trusted(peer.address)

    def client(self, peer: Peer, fields: Fields) -> Client:
        """Return whose a request with these fields is that came from this peer."""
        nearest = Client(peer.address, peer.scheme)
        told = tuple([field for field in fields if field[0] in READ])
        if not told:
            return nearest
        if not self.believes(peer):
            tell = self._on_stranger  # once: several threads may come here
            if tell is not None and peer.is_known:
                self._on_stranger = None
                tell(peer.address, told[0][0])
            return nearest
        short = sum(len(value) for _, value in told) <= LARGEST_REMEMBERED
        return (self._remembered if short else self._client)(nearest, told)

    def _client(self, nearest: Client, told: Fields) -> Client:
        client = nearest
        for hop in islice(hops(told), MOST_HOPS):
            if not self.is_trusted(client.address):
                break
            client = Client(hop.address or client.address, hop.scheme or client.scheme, hop.host or client.host)
            if hop.address is None:
                break
        return client


def hops(told: Fields) -> Iterator[Hop]:
    """Yield what the proxies say in these fields, the nearest first, as far as it can be read."""
    values = {name: b",".join([value for each, value in told if each == name]) for name, _ in told}
    if set(values) == {FORWARDED}:
        yield from map(_hop, _elements(values[FORWARDED]))
        return
    lists = [_from_the_end(values.get(name, b"")) for name in (FOR, PROTO, HOSTS)]
    for address, scheme, host in zip_longest(*lists, fillvalue=b""):
        yield Hop(_address(address), _scheme(scheme), _host(host))


def _from_the_end(value: bytes) -> Iterable[bytes]:
    """Return the elements of a list, the last first; what is beyond the most hops stays one."""
    return [element for each in reversed(value.rsplit(b",", MOST_HOPS)) if (element := each.strip(b" \t"))]


def _elements(value: bytes) -> Iterator[bytes]:
    """Yield the elements of Forwarded, the last first, until one is malformed.

    A comma may stand in a quoted string, so what is behind the last one may be no element, but more together. It is
    found from the end, since an open quote in what a client sent would swallow the words of the proxies behind it.
    """
    start = end = len(value)
    for _ in range(2 * MOST_HOPS):
        start = value.rfind(b",", 0, start)
        if _is_element(value, start + 1, end):
            yield value[start + 1 : end]
            end = start
        elif not value[start + 1 : end].strip(b" \t"):  # RFC 9110 §5.6.1.2: empty elements are overlooked
            end = start
        if start < 0:
            return


def _hop(element: bytes) -> Hop:
    pairs = [(name.lower(), _unquoted(value)) for name, value in _pairs(element)]
    said = dict(pairs)
    if len(said) < len(pairs):  # RFC 7239 §4: each parameter only once
        return Hop(None)
    return Hop(_address(said.get(b"for", b"")), _scheme(said.get(b"proto", b"")), _host(said.get(b"host", b"")))


def _unquoted(value: bytes) -> bytes:
    return _unescaped(rb"\1", value[1:-1]) if value.startswith(b'"') else value


def _address(node: bytes) -> bytes | None:
    """Return the IP address of a node in its usual form, None for `unknown`, `_hidden` and what is none."""
    match = _node(node)
    try:
        address = ip_address((match[1] or match[2] or match[3]).decode()) if match else None
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return str(address).encode() if address else None


def _scheme(said: bytes) -> bytes:
    return said.lower() if said.lower() in {b"http", b"https"} else b""


def _host(said: bytes) -> bytes:
    return said if _is_host(said) else b""
