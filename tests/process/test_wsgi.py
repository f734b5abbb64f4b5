"""WSGI as PEP 3333 has it, through the real server and by sockets, with one thread and with several."""

import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.process import application
from tests.process.clients import Answer, Client
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.trust import Trust
from tests.process.waiting import until

SOURCE: Final = Path(application.__file__).read_text()
MODES: Final = ("threads = 1", "threads = 4")
TRUNCATED: Final = "cut"


def serve(start_app: Start, toml: str = "", *flags: str, app: str = "application:answer") -> Hello:
    start_app.files = {"application.py": SOURCE}
    return start_app(f'app = "{app}"\nworkers = 1\n{toml}', *flags)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def request(target: str, *lines: str, method: str = "GET", version: str = "1.1", body: bytes = b"") -> bytes:
    head = "\r\n".join([f"{method} {target} HTTP/{version}", "Host: a.example", *lines, "", ""])
    return head.encode("latin-1") + body


def post(target: str, body: bytes) -> bytes:
    return request(target, f"Content-Length: {len(body)}", method="POST", body=body)


def chunked(target: str, *chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return request(target, "Transfer-Encoding: chunked", method="POST", body=body)


def ask(hello: Hello, sent: bytes) -> Answer:
    """Ask on a connection of its own, and read the answer, which may be in chunks, to its end."""
    client = hello.connect()
    client.send(sent)
    return answer(client, to_head=sent.startswith(b"HEAD"))


def answer(client: Client, *, to_head: bool = False) -> Answer:
    found = client.answer(to_head=to_head)
    if found.fields.get("transfer-encoding") != "chunked" or to_head:
        return found
    chunks = []
    while chunk := client.chunk():
        chunks.append(chunk)
    return Answer(found.status, found.fields, b"".join(chunks))


def environ(hello: Hello, sent: bytes) -> dict[str, str]:
    lines = ask(hello, sent).body.decode().split("\n")
    return dict(line.split("=", 1) for line in lines)


def closed(hello: Hello, name: str, count: int = 1) -> None:
    """Wait until the iterable of this name was closed so many times."""
    path = hello.folder / "closed"
    until(lambda: path.exists() and path.read_text().split().count(name) == count, f"{name} to be closed {count} times")


def noted(hello: Hello) -> list[str]:
    path = hello.folder / "noted"
    return path.read_text().splitlines() if path.exists() else []


def until_cut(client: Client) -> str:
    """Return how a connection ends."""
    try:
        while client.socket.recv(1 << 20):
            pass
    except ConnectionResetError:
        return TRUNCATED
    return "closed as if it were whole"


def failures(hello: Hello) -> list[str]:
    return [line for line in hello.log.splitlines() if "application failed" in line]


# All of it, under the validator


def test_the_validator_finds_nothing_wrong_with_any_of_it(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode, app="application:checked")
    (hello.folder / "data").write_bytes(b"0123456789")
    client = hello.connect()
    expected = [
        (request("/hello"), 200, None),
        (request("/hello", method="HEAD"), 200, b""),
        (request("/pieces"), 200, b"onetwo"),
        (request("/pieces", method="HEAD"), 200, b""),
        (request("/sized"), 200, b"onetwo"),
        (request("/empty"), 200, b""),
        (request("/status?204"), 204, b""),
        (request("/status?304"), 304, b""),
        (post("/echo", b"Hello"), 200, b"Hello"),
        (post("/echo", b""), 200, b""),
        (chunked("/echo", b"Hel", b"lo"), 200, b"Hello"),
        (post("/lines", b"a\nb\nc"), 200, b"a\nb\nc"),
        (post("/count", b"x" * 200_000), 200, None),
        (request("/written"), 200, b"written, again, returned"),
        (request("/replaced"), 500, b"sorry"),
        (request("/errors"), 200, b"Hello"),
        (request("/file?data"), 200, b"0123456789"),
        (request("/file?data&4"), 200, b"456789"),
        (request("/file?data", method="HEAD"), 200, b""),
        (request("*", method="OPTIONS"), 200, None),
        (request("http://b.example/hello"), 200, None),
        (request("/environ"), 200, None),
    ]
    for sent, status, body in expected:
        client.send(sent)
        found = answer(client, to_head=sent.startswith(b"HEAD"))
        assert (sent, found.status, found.body) == (sent, status, found.body if body is None else body)
    for path in "/fails", "/fails_first":
        assert ask(hello, request(path)).status == 500
    for path in "/fails_later", "/late_head":
        other = hello.connect()
        other.send(request(path))
        assert until_cut(other) == TRUNCATED
    assert "AssertionError" not in hello.log
    assert len(failures(hello)) == 4


# The environ


def test_the_environ_is_what_was_sent(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    sent = request("/a%2Fb%C3%A9//c?d=%41&e", "X-One: 1", "X-One: 2", "X_One: 3", "Proxy: evil", "Content-Type: a/b")
    for _ in range(3):
        found = environ(hello, sent)
        assert found.pop("SERVER_SOFTWARE").startswith("'prefork/")
        assert found == {
            "CONTENT_TYPE": "'a/b'", "HTTP_HOST": "'a.example'", "HTTP_X_ONE": "'1,2'",
            "PATH_INFO": "'/a/bÃ©//c'", "QUERY_STRING": "'d=%41&e'", "REMOTE_ADDR": "'127.0.0.1'",
            "REQUEST_METHOD": "'GET'", "REQUEST_URI": "'/a%2Fb%C3%A9//c?d=%41&e'", "SCRIPT_NAME": "''",
            "SERVER_NAME": "'a.example'", "SERVER_PORT": "'80'", "SERVER_PROTOCOL": "'HTTP/1.1'",
            "wsgi.input_terminated": "True", "wsgi.multiprocess": "True",
            "wsgi.multithread": str(mode != MODES[0]), "wsgi.run_once": "False", "wsgi.url_scheme": "'http'",
            "wsgi.version": "(1, 0)",
        }  # fmt: skip


def test_a_proxy_tells_of_the_client_and_a_stranger_does_not(start_app: Start) -> None:
    told = request("/", "X-FORWARDED-FOR: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example")
    told = told.replace(b" / ", b" /environ ")
    hello = serve(start_app)
    found = environ(hello, told)
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("'192.0.2.1'", "'https'")
    assert (found["HTTP_HOST"], found["SERVER_PORT"]) == ("'shop.example'", "'443'")
    hello = serve(start_app, "forwarded_allow_ips = []")
    found = environ(hello, told)
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("'127.0.0.1'", "'http'")
    assert found["HTTP_HOST"] == "'a.example'"


def test_over_tls_the_scheme_is_https(start_app: Start, trust: Trust, tmp_path: Path) -> None:
    hello = serve(start_app, f'tls_cert = "{tmp_path}/a.pem"\ntls_key = "{tmp_path}/a.key"')
    client = trust.connect(hello)
    client.send(request("/environ"))
    assert "wsgi.url_scheme='https'" in answer(client).body.decode()
    client.close()


def test_it_can_be_mounted_below_a_prefix(start_app: Start) -> None:
    hello = serve(start_app, 'url_prefix = "/shop"')
    found = environ(hello, request("/shop/a"))
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("'/shop'", "'/a'")


# Answers that can't be given, or not to their end


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/fails", r"KeyError: 'before the head' \(application\.py:\d+\)"),
        ("/fails_first", r"KeyError: 'too late' \(application\.py:\d+\)"),
        ("/injecting", r".*HeaderError: Location can't have the value '/\\\\r\\\\nSet-Cookie: evil=1' \(.*\)"),
        ("/hop_by_hop", r".*HeaderError: Connection is for the server to send \(PEP 3333\) \(.*\)"),
    ],
)
def test_what_fails_before_output_is_500_and_one_line_and_the_connection_goes_on(
    start_app: Start, mode: str, target: str, reason: str
) -> None:
    hello = serve(start_app, mode)
    client = hello.connect()
    for _ in range(2):
        client.send(request(target))
        found = answer(client)
        assert (found.status, found.body) == (500, b"The application failed.\n")
        assert "set-cookie" not in found.fields
    line, _ = failures(hello)
    assert re.search(rf'application failed request="GET {target}" reason="{reason}"$', line), line


@pytest.mark.parametrize("target", ["/fails_later", "/fails_later?100", "/late_head", "/too_little"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_what_fails_after_output_is_cut_so_that_it_never_looks_whole(
    start_app: Start, mode: str, target: str, version: str
) -> None:
    hello = serve(start_app, mode)
    client = hello.connect()
    client.send(request(target, version=version))
    assert until_cut(client) == TRUNCATED
    closed(hello, target.partition("?")[0].strip("/"))
    assert len(failures(hello)) == 1


def test_more_than_content_length_is_not_sent(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    client = hello.connect()
    for _ in range(2):
        client.send(request("/too_much"))
        assert answer(client).body == b"onetw"
    closed(hello, "too_much", 2)
    until(lambda: 'answer cut to its Content-Length request="GET /too_much" surplus=1' in hello.log, "the log")


def test_what_is_written_to_wsgi_errors_is_logged(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    assert ask(hello, request("/errors")).status == 200
    assert "error worker-0" in hello.log
    assert "wsgi.errors line=printed" in hello.log
    assert 'wsgi.errors line="half, and the other half"' in hello.log


# Framing


def test_http_1_0_gets_what_is_in_pieces_up_to_the_end_of_the_connection(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    client = hello.connect()
    client.send(request("/pieces", "Connection: keep-alive", version="1.0"))
    head, _, content = client.until_closed().partition(b"\r\n\r\n")
    assert (b"Transfer-Encoding" in head, b"Connection: close" in head, content) == (False, True, b"onetwo")


def test_pipelined_requests_are_answered_in_order_whatever_their_kind(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    (hello.folder / "data").write_bytes(b"0123456789")
    client = hello.connect()
    sent = [request("/pieces"), post("/echo", b"a"), request("/file?data"), chunked("/echo", b"b"), request("/sized")]
    client.send(b"".join(sent * 20))
    assert [answer(client).body for _ in sent * 20] == [b"onetwo", b"a", b"0123456789", b"b", b"onetwo"] * 20


@pytest.mark.parametrize("name", ["pieces", "sized", "empty", "written"])
def test_iterables_are_closed_for_get_and_head(start_app: Start, mode: str, name: str) -> None:
    hello = serve(start_app, mode)
    assert ask(hello, request(f"/{name}")).status == ask(hello, request(f"/{name}", method="HEAD")).status == 200
    closed(hello, name, 2)


# Files


@pytest.mark.parametrize("tls", [False, True])
def test_a_large_file_arrives_whole_and_its_descriptor_is_closed(
    start_app: Start, mode: str, trust: Trust, tmp_path: Path, *, tls: bool
) -> None:
    more = f'tls_cert = "{tmp_path}/a.pem"\ntls_key = "{tmp_path}/a.key"' if tls else ""
    hello = serve(start_app, f"{mode}\n{more}")
    content = os.urandom(20_000_000)
    (hello.folder / "data").write_bytes(content)
    client = trust.connect(hello) if tls else hello.connect()
    for offset in 0, 12_345_678:
        client.send(request(f"/file?data&{offset}"))
        assert answer(client).body == content[offset:]
    client.close()
    hello.wait_until_closed()


def test_a_file_that_shrinks_while_it_is_sent_is_cut(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    data = hello.folder / "data"
    data.touch()
    os.truncate(data, 500_000_000)
    client = hello.connect()
    client.send(request("/file?data"))
    client.take_some()
    os.truncate(data, 10_000_000)
    assert until_cut(client) == TRUNCATED
    hello.wait_until_closed()
