"""Makes a request's `environ` (PEP 3333), quickly: what only its head says is made once for a head that comes again."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from prefork.apps.content import KeptContent
from prefork.http.content import Content
from prefork.http.forwarded import READ, Forwarding
from prefork.http.messages import Fields, Peer, Request

Environ = dict[str, Any]  # Any: as the PEP has it

MOST_NAMES: Final = 1024  # of fields that are remembered
LONGEST_NAME: Final = 64  # characters of one
MOST_HOSTS: Final = 128  # that are remembered, each no longer than a field may be

# CGI has no prefix for these (RFC 3875 §4.1.2, §4.1.3). How the body came was between the client and us.
_SPECIAL: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH", "transfer-encoding": ""}
_READ: Final = frozenset("HTTP_" + name.decode().upper().replace("-", "_") for name in READ)
# A program that an application runs would take HTTP_PROXY for its proxy (CVE-2016-5385).
_DROPPED: Final = frozenset({"proxy"})


class Known(Struct, gc=False):
    """What a request's head says: most of its environ, and the fields in which a proxy tells of the client.

    `told` is that environ with the client of the `peer` that asked first.
    """

    environ: Environ
    fields: Fields
    peer: Peer | None = None
    told: Environ = {}


SEEN: Final = Known({}, ())  # in place of it, for a head that came once


class Environs:
    """Makes environs. `base` is in each of them; `prefix` is where the application is mounted, its SCRIPT_NAME."""

    def __init__(self, base: Mapping[str, object], forwarding: Forwarding, prefix: str = "") -> None:
        self._base = dict(base)
        self._forwarding = forwarding
        self._prefix = prefix.encode().decode("latin-1")  # as PEP 3333 has all strings
        self._keys = Keys()

    def make(self, request: Request, peer: Peer, content: Content | None) -> Environ:
        """Return the environ of a request, which the caller may change."""
        known: Known | None = request.memo
        environ = known.told.copy() if known is not None and known.peer == peer else self._new(request, known, peer)
        if content is not None:
            assert isinstance(content, KeptContent)
            content.tell(environ)
        return environ

    def _new(self, request: Request, known: Known | None, peer: Peer) -> Environ:
        """Return a new environ, remembered from the second time on: most heads that came once don't come again."""
        if known is None:
            request.remember(SEEN)
            known = self._know(request)
            return self._tell_client(known.environ, known.fields, peer)
        if known is SEEN:
            known = self._know(request)
            known.peer = peer
            known.told = self._tell_client(known.environ.copy(), known.fields, peer)
            request.remember(known)
        return self._tell_client(known.environ.copy(), known.fields, peer)

    def _know(self, request: Request) -> Known:
        line, *lines, _, _ = request.head.decode("latin-1").split("\n")
        environ = self._base.copy()
        environ["REQUEST_METHOD"], target, _ = line.split(" ")
        environ["SERVER_PROTOCOL"] = "HTTP/1.1" if request.minor else "HTTP/1.0"
        environ["REQUEST_URI"] = target
        path, _, environ["QUERY_STRING"] = target.partition("?")
        is_plain = path.startswith("/")
        if not is_plain:
            path = path_of(path)
        if "%" in path:
            path = unquote_to_bytes(path).decode("latin-1")
        if self._prefix and f"{path}/".startswith(f"{self._prefix}/"):
            environ["SCRIPT_NAME"], path = self._prefix, path[len(self._prefix) :]
        environ["PATH_INFO"] = path
        self._take_fields(environ, lines)
        if not is_plain:  # RFC 9112 §3.2.2: whatever Host says
            environ["HTTP_HOST"] = request.host.decode()
        environ["SERVER_NAME"], environ["SERVER_PORT"] = server_of(environ.get("HTTP_HOST", ""), "80")
        if not environ.keys().isdisjoint(_READ):
            return Known(environ, tuple([field for field in request.fields if field[0] in READ]))
        return Known(environ, ())

    def _take_fields(self, environ: Environ, lines: list[str]) -> None:
        keys, most = self._keys, len(environ) + len(lines)
        for line in lines:
            name, _, value = line.partition(":")
            environ[keys[name]] = value.strip(" \t\r")
        if len(environ) < most or "" in environ:
            self._join_fields(environ, lines)

    def _join_fields(self, environ: Environ, lines: list[str]) -> None:
        """Join the values of all fields of a name (RFC 9110 §5.3, RFC 9113 §8.2.3), and drop what isn't passed on."""
        found: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            found.setdefault(self._keys[name], []).append(value.strip(" \t\r"))
        environ.update({key: ("; " if key == "HTTP_COOKIE" else ",").join(values) for key, values in found.items()})
        environ.pop("", None)

    def _tell_client(self, environ: Environ, fields: Fields, peer: Peer) -> Environ:
        """Tell in the environ whose the request is, by its peer and by what that says if it is trusted; return it."""
        address = peer.address
        if fields or peer.scheme != b"http":
            client = self._forwarding.client(peer, fields)
            address = client.address
            if client.scheme == b"https":
                environ["wsgi.url_scheme"] = "https"
                environ["HTTPS"] = "on"
            if client.host:
                environ["HTTP_HOST"] = client.host.decode()
            usual_port = "443" if client.scheme == b"https" else "80"
            environ["SERVER_NAME"], environ["SERVER_PORT"] = server_of(environ.get("HTTP_HOST", ""), usual_port)
        environ["REMOTE_ADDR"] = address.decode() if address != b"unix:" else ""
        return environ


class Keys(dict[str, str]):
    """The key of each field in the environ, empty where it isn't passed on: with _ for - it could pose as another."""

    def __missing__(self, name: str) -> str:
        lower = name.lower()
        key = "" if "_" in name or lower in _DROPPED else "HTTP_" + name.upper().replace("-", "_")
        key = _SPECIAL.get(lower, key)
        if len(name) <= LONGEST_NAME:
            if len(self) >= MOST_NAMES:
                self.clear()
            self[name] = key
        return key


def path_of(target: str) -> str:
    """Return the path of a target in absolute-form (RFC 9112 §3.2.2), an empty one for the asterisk of OPTIONS."""
    if target == "*":
        return ""
    _, _, rest = target.partition("//")
    _, _, path = rest.partition("/")
    return f"/{path}"


@lru_cache(MOST_HOSTS)
def server_of(host: str, usual_port: str) -> tuple[str, str]:
    """Return the name and the port to which a request went, by what it says itself (RFC 3875 §4.1.14, §4.1.15)."""
    name, colon, port = host.rpartition(":")
    if not colon or (port and not port.isdigit()):  # none, or within an IPv6 address
        name, port = host, ""
    return name or "localhost", port or usual_port
