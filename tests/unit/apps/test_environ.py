"""The environ of a request (PEP 3333), whatever came, from whom, and whether it came before.

What holds for any request: it is the same the first, the second and the third time; what is put into one is in no
other; no field that a client may send becomes a key that is not its own.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.apps.content import KeptContent
from prefork.apps.environ import LONGEST_NAME, MOST_NAMES, Environs
from prefork.http.forwarded import Forwarding
from prefork.http.head import HeadParser
from prefork.http.messages import Limits, Peer, Rejection, Request

PEER: Final = Peer(b"192.0.2.7")
PROXY: Final = Peer(b"127.0.0.1")
PARSE: Final[Callable[[bytes], Request]] = HeadParser(Limits(fields=2000, head=1 << 20)).parse
BASE: Final = {"SCRIPT_NAME": "", "wsgi.url_scheme": "http", "wsgi.input": None}

Environ = dict[str, Any]


def make(head: bytes, peer: Peer = PEER, *, prefix: str = "", is_trusted: bool = True) -> Environ:
    """Return the environ of a head, which must be the same when it comes again."""
    environs = Environs(BASE, Forwarding(lambda address: is_trusted and address in {b"127.0.0.1", b"unix:"}), prefix)
    request = PARSE(head)
    made = [environs.make(request, peer, None) for _ in range(4)]
    assert made == [made[0]] * 4
    return made[0]


def get(target: str = "/", *lines: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: a.example", *lines, "", ""]).encode("latin-1")


def test_a_plain_request_has_exactly_this() -> None:
    assert make(get("/a/b?c=d", "Accept: */*")) == {
        **BASE,
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/a/b",
        "QUERY_STRING": "c=d",
        "REQUEST_URI": "/a/b?c=d",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "a.example",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "a.example",
        "HTTP_ACCEPT": "*/*",
    }


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/?", "/", ""),
        ("/?a?b", "/", "a?b"),
        ("/%41%2f%3F", "/A/?", ""),
        ("/gr%C3%B6%C3%9Fe", "/gr\xc3\xb6\xc3\x9fe", ""),  # bytes as latin-1, PEP 3333 "Unicode Issues"
        ("/%ff%00", "/\xff\x00", ""),
        ("/a+b?%41+b", "/a+b", "%41+b"),
        ("//evil/", "//evil/", ""),
        ("/a//../b", "/a//../b", ""),
        ("http://b.example/x?y", "/x", "y"),
        ("http://b.example", "/", ""),
        ("http://b.example?y=/", "/", "y=/"),
        ("http://b.example/http://c/", "/http://c/", ""),
    ],
)
def test_the_path_is_decoded_and_the_query_is_not(target: str, path: str, query: str) -> None:
    environ = make(get(target))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["REQUEST_URI"]) == (path, query, target)


def test_the_path_of_options_for_the_whole_server_is_empty() -> None:
    environ = make(get("*", method="OPTIONS"))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["REQUEST_URI"]) == ("", "", "*")


@pytest.mark.parametrize(
    ("target", "script_name", "path"),
    [
        ("/shop", "/shop", ""),
        ("/shop/", "/shop", "/"),
        ("/shop/a?b", "/shop", "/a"),
        ("/%73hop/a", "/shop", "/a"),
        ("/shops", "", "/shops"),
        ("/", "", "/"),
        ("/a/shop", "", "/a/shop"),
    ],
)
def test_where_it_is_mounted_is_the_script_name(target: str, script_name: str, path: str) -> None:
    environ = make(get(target), prefix="/shop")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path)


def test_it_can_be_mounted_at_a_path_beyond_ascii() -> None:
    environ = make(get("/gr%C3%B6%C3%9Fe/a"), prefix="/größe")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/gr\xc3\xb6\xc3\x9fe", "/a")


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("a.example", "a.example", "80"),
        ("a.example:8080", "a.example", "8080"),
        ("a.example:", "a.example", "80"),
        ("127.0.0.1:81", "127.0.0.1", "81"),
        ("[::1]", "[::1]", "80"),
        ("[::1]:8080", "[::1]", "8080"),
        ("[2001:db8::1234]", "[2001:db8::1234]", "80"),
        ("123", "123", "80"),
        ("", "localhost", "80"),
    ],
)
def test_server_name_and_port_are_of_the_host_rfc3875_4_1_14(host: str, name: str, port: str) -> None:
    environ = make(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"], environ["HTTP_HOST"]) == (name, port, host)


def test_without_a_host_there_is_a_server_name_still() -> None:
    environ = make(b"GET / HTTP/1.0\r\n\r\n")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"], "HTTP_HOST" in environ) == ("localhost", "80", False)
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_the_host_of_an_absolute_form_wins_rfc9112_3_2_2() -> None:
    environ = make(get("http://b.example:81/"))
    assert (environ["HTTP_HOST"], environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("b.example:81", "b.example", "81")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["X-One: 1"], {"HTTP_X_ONE": "1"}),
        (["x-one:1"], {"HTTP_X_ONE": "1"}),
        (["X-One:   1  \t "], {"HTTP_X_ONE": "1"}),
        (["X-One:\t1"], {"HTTP_X_ONE": "1"}),
        (["X-One:"], {"HTTP_X_ONE": ""}),
        (["X-One: "], {"HTTP_X_ONE": ""}),
        (["X-One: a: b:c"], {"HTTP_X_ONE": "a: b:c"}),
        (["X-One:a: b"], {"HTTP_X_ONE": "a: b"}),
        (["X-One: \xe9"], {"HTTP_X_ONE": "\xe9"}),
        (["X-One: 1", "x-ONE: 2", "X-Two: 3"], {"HTTP_X_ONE": "1,2", "HTTP_X_TWO": "3"}),
        (["Cookie: a=1", "Cookie: b=2"], {"HTTP_COOKIE": "a=1; b=2"}),
        (["Content-Type: text/plain"], {"CONTENT_TYPE": "text/plain"}),
        (["Content-Length: 0"], {"CONTENT_LENGTH": "0"}),
        (["Transfer-Encoding: chunked"], {}),
        (["X_One: 1"], {}),
        (["Content_Length: 7", "Content_Type: a", "Http_Host: a"], {}),
        (["X-One: 1", "X_One: 2"], {"HTTP_X_ONE": "1"}),
        (["Proxy: evil", "PROXY: evil"], {}),
        (["Script-Name: /x", "Path-Info: /y"], {"HTTP_SCRIPT_NAME": "/x", "HTTP_PATH_INFO": "/y"}),
        (["wsgi.input: x"], {"HTTP_WSGI.INPUT": "x"}),
    ],
)
def test_fields_become_keys_that_are_theirs_alone(lines: list[str], expected: dict[str, str]) -> None:
    usual = make(get(method="POST"))
    assert make(get("/", *lines, method="POST")) == usual | expected


def test_the_content_is_what_was_kept_and_its_length_is_told() -> None:
    environs = Environs(BASE, Forwarding(lambda _address: False))
    content = KeptContent(100)
    content.write(b"Hello")
    environ = environs.make(PARSE(get("/", "Transfer-Encoding: chunked", method="POST")), PEER, content)
    assert (environ["wsgi.input"].read(), environ["CONTENT_LENGTH"]) == (b"Hello", "5")
    assert "HTTP_TRANSFER_ENCODING" not in environ


def test_what_is_put_into_one_environ_is_in_no_other() -> None:
    environs = Environs(BASE, Forwarding(lambda _address: False))
    request = PARSE(get())
    for _ in range(4):
        environ = environs.make(request, PEER, None)
        assert "mine" not in environ
        environ["mine"] = environ["HTTP_HOST"] = "changed"
    assert environs.make(request, PEER, None)["HTTP_HOST"] == "a.example"


# Whose it is


def test_one_head_of_several_clients_is_told_apart() -> None:
    environs = Environs(BASE, Forwarding(lambda _address: False))
    request = PARSE(get())
    for _ in range(3):
        for address in b"192.0.2.1", b"192.0.2.2", b"2001:db8::1":
            assert environs.make(request, Peer(address), None)["REMOTE_ADDR"] == address.decode()
        assert environs.make(request, Peer(b"192.0.2.1", b"https"), None)["wsgi.url_scheme"] == "https"
        assert environs.make(request, Peer(b"192.0.2.1"), None)["wsgi.url_scheme"] == "http"


def test_over_a_unix_socket_the_address_is_empty() -> None:
    assert make(get(), Peer(b"unix:"))["REMOTE_ADDR"] == ""


def test_over_tls_the_scheme_is_https_and_its_port_the_usual() -> None:
    environ = make(get(), Peer(b"192.0.2.7", b"https"))
    assert {key: environ[key] for key in ("wsgi.url_scheme", "HTTPS", "SERVER_PORT")} == {
        "wsgi.url_scheme": "https", "HTTPS": "on", "SERVER_PORT": "443",
    }  # fmt: skip


TOLD: Final = ["X-Forwarded-For: 198.51.100.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"]
BELIEVED: Final = {
    "REMOTE_ADDR": "198.51.100.9", "wsgi.url_scheme": "https", "HTTPS": "on", "HTTP_HOST": "shop.example",
    "SERVER_NAME": "shop.example", "SERVER_PORT": "443",
}  # fmt: skip


@pytest.mark.parametrize("spell", [str, str.upper, str.lower])
@pytest.mark.parametrize("peer", [PROXY, Peer(b"unix:")])
def test_a_trusted_proxy_tells_whose_it_is(peer: Peer, spell: Callable[[str], str]) -> None:
    lines = [spell(name) + ":" + value for name, _, value in (line.partition(":") for line in TOLD)]
    environ = make(get("/", *lines), peer)
    assert {key: environ[key] for key in BELIEVED} == BELIEVED


@pytest.mark.parametrize("name", ["Forwarded", "FORWARDED", "forwarded"])
def test_it_may_tell_in_the_standard_field_rfc7239(name: str) -> None:
    environ = make(get("/", f"{name}: for=198.51.100.9;proto=https;host=shop.example"), PROXY)
    assert {key: environ[key] for key in BELIEVED} == BELIEVED


@pytest.mark.parametrize(
    ("peer", "line", "expected"),
    [
        (PROXY, "X-Forwarded-For: 198.51.100.9", {"REMOTE_ADDR": "198.51.100.9", "SERVER_PORT": "80"}),
        (Peer(b"unix:"), "X-Forwarded-Proto: https", {"REMOTE_ADDR": "", "SERVER_PORT": "443"}),
        (PROXY, "X-Forwarded-Host: b:1", {"REMOTE_ADDR": "127.0.0.1", "SERVER_NAME": "b", "SERVER_PORT": "1"}),
    ],
)
def test_what_it_does_not_tell_stays_as_it_is(peer: Peer, line: str, expected: dict[str, str]) -> None:
    environ = make(get("/", line), peer)
    assert {key: environ[key] for key in expected} == expected


def test_it_may_pass_on_a_request_without_a_host() -> None:
    environ = make(b"GET / HTTP/1.0\r\nX-Forwarded-Proto: https\r\n\r\n", PROXY)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"], "HTTP_HOST" in environ) == ("localhost", "443", False)


def test_nobody_else_is_believed() -> None:
    environ = make(get("/", *TOLD), PEER)
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], "HTTPS" in environ) == ("192.0.2.7", "http", False)
    assert (environ["HTTP_HOST"], environ["HTTP_X_FORWARDED_FOR"]) == ("a.example", "198.51.100.9")


def test_the_same_head_of_a_proxy_and_of_a_stranger_is_told_apart() -> None:
    environs = Environs(BASE, Forwarding(lambda address: address == b"127.0.0.1"))
    request = PARSE(get("/", *TOLD))
    untold = Peer(PROXY.address, is_known=False)
    for peer, address in [(PROXY, "198.51.100.9"), (untold, "127.0.0.1"), (PEER, "192.0.2.7")] * 3:
        assert environs.make(request, peer, None)["REMOTE_ADDR"] == address


def test_what_a_proxy_tells_of_its_client_is_told_of_nobody_else() -> None:
    environs = Environs(BASE, Forwarding(lambda address: address == b"127.0.0.1"))
    request = PARSE(get("/", *TOLD))
    stranger = {"REMOTE_ADDR": "192.0.2.7", "wsgi.url_scheme": "http", "HTTP_HOST": "a.example", "SERVER_PORT": "80"}
    for peer, expected in [(PROXY, BELIEVED), (PROXY, BELIEVED), (PEER, stranger), (PROXY, BELIEVED)]:
        environ = environs.make(request, peer, None)
        assert {key: environ[key] for key in expected} == expected
        assert ("HTTPS" in environ) is (peer is PROXY)


# Bounds, and anything


def test_no_more_names_are_remembered_than_so_many_and_the_usual_ones_come_back() -> None:
    environs = Environs(BASE, Forwarding(lambda _address: False))
    for start in range(0, 3 * MOST_NAMES, 500):
        environs.make(PARSE(get("/", *(f"X-{number}: 1" for number in range(start, start + 500)))), PEER, None)
        assert len(environs._keys) <= MOST_NAMES
    environs.make(PARSE(get("/", "X-Usual: 1", "X-" + "x" * LONGEST_NAME + ": 1")), PEER, None)
    assert "X-Usual" in environs._keys
    assert max(map(len, environs._keys)) <= LONGEST_NAME


NAMES: Final = st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}", fullmatch=True) | st.sampled_from(
    ["Host", "Cookie", "Content-Type", "Content-Length", "Proxy", "HTTP-HOST", "X-Forwarded-For", "Forwarded"]
)


@given(
    fields=st.lists(st.tuples(NAMES, st.sampled_from(["", " ", "  ", "\t"]), st.text(max_size=8)), max_size=6),
    target=st.from_regex(r"/[a-z%0-9/?]{0,12}", fullmatch=True),
)
def test_whatever_is_accepted_becomes_strings_of_latin_1_with_keys_of_cgi(
    fields: list[tuple[str, str, str]], target: str
) -> None:
    lines = [f"{name}:{space}{value}" for name, space, value in fields]
    try:
        request = get(target, *lines)
        PARSE(request)
    except (UnicodeEncodeError, Rejection):
        return
    environ = make(request)
    for key, value in environ.items():
        if key not in BASE:
            assert type(value) is str
            value.encode("latin-1")
            assert value == value.strip(" \t") or key in {"PATH_INFO", "HTTP_COOKIE"}
            assert re.fullmatch(
                r"HTTP_[^a-z\-]+|REQUEST_METHOD|PATH_INFO|QUERY_STRING|REQUEST_URI|SERVER_(NAME|PORT|PROTOCOL)"
                r"|REMOTE_ADDR|CONTENT_(TYPE|LENGTH)",
                key,
            )
    assert "HTTP_PROXY" not in environ
    names = {name.upper() for name, *_ in fields if "_" not in name}
    assert {key for key in environ if key.startswith("HTTP_")} <= {
        "HTTP_HOST",
        *("HTTP_" + name.replace("-", "_") for name in names),
    }
