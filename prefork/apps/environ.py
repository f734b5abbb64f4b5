"""Makes the `environ` of a request (PEP 3333), quickly: what only its head says is made once for a head that comes again."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from prefork.apps.content import KeptContent
from prefork.http.content import Content
from prefork.http.forwarded import READ, Client, Forwarding
from prefork.http.messages import AUTHORITY, Fields, Peer, Request

Environ = dict[str, Any]  # Any: as the PEP has it

MOST_NAMES: Final = 1024  # of fields that are remembered
LONGEST_NAME: Final = 64  # characters of one

_fields: Final = re.compile(r"\n([^:\r]+):[ \t]*([^\r]*)").findall  # of a head that is valid
_port: Final = re.compile(r"(.*?)(?::([0-9]*))?", re.DOTALL).fullmatch
# CGI has no prefix for these (RFC 3875 §4.1.2, §4.1.3). How the body came was between the client and us.
_SPECIAL: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH", "transfer-encoding": ""}
# A program that an application runs would take HTTP_PROXY for its proxy (CVE-2016-5385).
_DROPPED: Final = frozenset({"proxy"})


class Known(Struct, gc=False):
    """What a request's head says: most of its environ, and the fields in which a proxy tells of the client."""

    environ: Environ
    told: Fields


SEEN: Final = Known({}, ())  # in place of it, for a head that came once


class Environs:
    """Makes environs. `base` is in each of them; `prefix` is where the application is mounted, its SCRIPT_NAME."""

    def __init__(self, base: Mapping[str, object], forwarding: Forwarding, prefix: str = "") -> None:
        self._base = dict(base)
        self._forwarding = forwarding
        self._prefix = prefix
        self._names: dict[str, str] = {}

    def make(self, request: Request, peer: Peer, content: Content | None) -> Environ:
        """Return the environ of a request, which the caller may change."""
        known: Known | None = request.memo
        if known is None:  # most heads that came once don't come again
            request.remember(SEEN)
            known = self._know(request)
            environ = known.environ
        else:
            if known is SEEN:
                known = self._know(request)
                request.remember(known)
            environ = known.environ.copy()
        address = peer.address
        environ["REMOTE_ADDR"] = address.decode() if address != b"unix:" else ""
        if known.told or peer.scheme != b"http":
            self._tell_client(environ, self._forwarding.client(address, peer.scheme, known.told))
        if content is not None:
            assert isinstance(content, KeptContent)
            content.file.seek(0)
            environ["wsgi.input"] = content.file
            environ["CONTENT_LENGTH"] = str(content.size)
        return environ

    def _know(self, request: Request) -> Known:
        text = request.head.decode("latin-1")
        environ = self._base.copy()
        target = self._target(environ, request)
        path, _, environ["QUERY_STRING"] = target.partition("?")
        if "%" in path:
            path = unquote_to_bytes(path).decode("latin-1")
        if self._prefix and path.startswith(self._prefix) and path[len(self._prefix) :][:1] in ("", "/"):
            environ["SCRIPT_NAME"], path = self._prefix, path[len(self._prefix) :]
        environ["PATH_INFO"] = path
        environ["REQUEST_METHOD"] = request.method.decode()
        environ["SERVER_PROTOCOL"] = "HTTP/1.1" if request.minor else "HTTP/1.0"
        self._take_fields(environ, text)
        if not request.target.startswith((b"/", b"*")):  # RFC 9112 §3.2.2: whatever Host says
            environ["HTTP_HOST"] = request.host.decode()
        _set_server(environ, "80")
        told = tuple([field for field in request.fields if field[0] in READ]) if "orwarded" in text else ()
        return Known(environ, told)

    def _target(self, environ: Environ, request: Request) -> str:
        target = request.target.decode("latin-1")
        environ["REQUEST_URI"] = target
        if target.startswith("/"):
            return target
        match = AUTHORITY(request.target)
        if match is None:  # *, of OPTIONS
            return target
        rest = target[match.end() :]
        return rest if rest.startswith("/") else f"/{rest}"

    def _take_fields(self, environ: Environ, text: str) -> None:
        names = self._names
        trailing = " \r" in text or "\t\r" in text
        for name, value in _fields(text):
            key = names.get(name)
            if key is None:
                key = self._learn(name)
            if not key:
                continue
            if trailing:
                value = value.rstrip(" \t")  # noqa: PLW2901
            if key in environ:  # RFC 9110 §5.3, RFC 9113 §8.2.3
                value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"  # noqa: PLW2901
            environ[key] = value

    def _learn(self, name: str) -> str:
        """Return the key of a field, empty for one that isn't passed on: with _ for - it could pose as another."""
        lower = name.lower()
        key = "" if "_" in name or lower in _DROPPED else "HTTP_" + name.upper().replace("-", "_")
        key = _SPECIAL.get(lower, key)
        if len(self._names) < MOST_NAMES and len(name) <= LONGEST_NAME:
            self._names[name] = key
        return key

    def _tell_client(self, environ: Environ, client: Client) -> None:
        environ["REMOTE_ADDR"] = client.address.decode() if client.address != b"unix:" else ""
        if client.scheme == b"https":
            environ["wsgi.url_scheme"] = "https"
            environ["HTTPS"] = "on"
        if client.host:
            environ["HTTP_HOST"] = client.host.decode()
        _set_server(environ, "443" if client.scheme == b"https" else "80")


def _set_server(environ: Environ, usual_port: str) -> None:
    """Tell to which host and port the request went, by what it says itself (RFC 3875 §4.1.14, §4.1.15)."""
    match = _port(environ.get("HTTP_HOST", ""))
    assert match is not None
    environ["SERVER_NAME"] = match[1] or "localhost"
    environ["SERVER_PORT"] = match[2] or usual_port
