"""TLS as clients meet it: openssl, curl, requests, and sockets of our own; with certificates that the test issues."""

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGHUP, SIGUSR2
from typing import IO, Final

import pytest
import requests

from tests.process import proc
from tests.process.clients import GET, LAST_GET, Client, Load
from tests.process.hello import Hello
from tests.process.installing import Installation
from tests.process.key_updates import ask_for_new_keys
from tests.process.starting import Start, run
from tests.process.test_disconnecting import SPINNING
from tests.process.test_proxy import haproxy
from tests.process.trust import NAMES, Trust
from tests.process.waiting import LIMIT, until

ONE: Final = 'workers = 1\ntls_cert = "../a.pem"\ntls_key = "../a.key"\n'
PIPELINED: Final = 200


@contextmanager
def closing(client: Client) -> Iterator[Client]:
    try:
        yield client
    finally:
        client.close()


def names_of(client: Client) -> list[str]:
    assert isinstance(client.socket, ssl.SSLSocket)
    certificate = client.socket.getpeercert()
    assert certificate
    return [str(entry[1]) for entry in certificate["subjectAltName"]]


def s_client(hello: Hello, *options: str, say: str = "") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{hello.ports[0]}", *options]
    ended = subprocess.run(command, input=say, capture_output=True, text=True, timeout=LIMIT, check=False)
    return ended.stdout + ended.stderr


@pytest.mark.parametrize(("option", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_openssl_agrees_on_a_version_and_on_http_1_1(start: Start, trust: Trust, option: str, version: str) -> None:
    hello = start(ONE)
    said = s_client(hello, option, "-CAfile", str(trust.file), "-alpn", "h2,http/1.1", "-verify_return_error")
    assert f"New, {version}," in said
    assert "ALPN protocol: http/1.1" in said
    assert "Verify return code: 0 (ok)" in said


def test_a_client_that_offers_h2_alone_is_connected_without_alpn(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    assert "No ALPN negotiated" in s_client(hello, "-CAfile", str(trust.file), "-alpn", "h2", "-verify_return_error")


def test_who_asks_for_new_keys_and_takes_none_is_closed_before_the_worker_spins(start: Start, trust: Trust) -> None:
    # Now and then the two kernels don't agree on what the small window takes, and the connection comes to a stand: it
    # is the kernel that ends it then.
    hello = start(ONE + "keep_alive_timeout = 60\ntcp_user_timeout = 3")
    with ask_for_new_keys(hello.ports[0], 20_000):
        assert proc.cpu_share(hello.worker_pids()) < SPINNING
        hello.wait_until_closed()


def test_an_old_version_is_refused_and_the_log_says_why(start: Start, trust: Trust) -> None:
    hello = start(ONE + 'tls_min = "1.3"')
    assert "alert protocol version" in s_client(hello, "-tls1_2")
    hello.wait_for_log('connections given up reason="TLS handshake failed: unsupported protocol" count=1')
    with closing(trust.connect(hello)) as client:
        assert client.ask().status == 200


def test_curl_and_requests_are_served(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    url = f"https://127.0.0.1:{hello.ports[0]}/"
    command = ["curl", "-sS", "--http1.1", "--cacert", str(trust.file), "-w", " %{http_code}", url, url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
    assert ended.stdout == "Hello, world! 200" * 2
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(trust.file)
        assert [session.post(url, data=b"x" * 100_000, timeout=LIMIT).status_code for _ in range(3)] == [200] * 3


def test_https_may_be_asked_for_in_absolute_form_rfc9110_7_4(start: Start, trust: Trust) -> None:
    hello = start(ONE + "forwarded_allow_ips = []")
    with closing(trust.connect(hello)) as client:
        assert client.ask(GET.replace(b" / ", b" https://a.example/ ")).status == 200


@pytest.mark.parametrize(
    ("asked", "served"),
    [("a.example", "a.example"), ("B.example", "b.example"), ("x.w.example", "*.w.example"), ("c.example", "a.example"),
     ("x.y.w.example", "a.example"), (None, "a.example")],
)  # fmt: skip
def test_a_client_gets_the_certificate_for_the_name_that_it_asks_for(
    start: Start, trust: Trust, asked: str | None, served: str
) -> None:
    trust.issue("b", "b.example", "*.w.example")
    hello = start('workers = 1\ntls_cert = ["../a.pem", "../b.pem"]\ntls_key = ["../a.key", "../b.key"]')
    with closing(trust.connect(hello, asked)) as client:
        assert served in names_of(client)
        assert client.ask().status == 200


def test_a_name_that_can_be_none_is_refused_and_nobody_can_fill_the_log_with_tracebacks(
    start: Start, trust: Trust
) -> None:
    hello = start(ONE)
    assert "alert internal error" in s_client(hello, "-servername", "\udcff.example")  # a byte that is no ASCII
    hello.wait_for_log('connections given up reason="TLS handshake failed: callback failed" count=1')
    assert "Traceback" not in hello.log


def test_a_key_may_be_in_the_file_of_its_certificate(start: Start, trust: Trust) -> None:
    with (trust.folder / "a.pem").open("ab") as file:
        file.write((trust.folder / "a.key").read_bytes())
    hello = start('workers = 1\ntls_cert = "../a.pem"')
    with closing(trust.connect(hello)) as client:
        assert client.ask().status == 200


@pytest.mark.parametrize("header", [b"", b"PROXY UNKNOWN\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"])
def test_a_unix_socket_stays_plain_whatever_the_proxy_behind_it_says(start: Start, trust: Trust, header: bytes) -> None:
    proxied = 'proxy_protocol = true\nproxy_allow_ips = ["unix:"]\n' if header else ""
    hello = start(ONE + proxied, bind=["127.0.0.1:0", "unix:socket"])
    client = hello.connect("unix:socket")
    client.send(header)
    assert client.ask().status == 200


def test_plain_http_is_told_to_use_tls(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    client = hello.connect()
    answer = client.ask()
    assert (answer.status, answer.is_last) == (400, True)
    assert b"https://" in answer.body
    assert client.until_closed() == b""
    hello.wait_for_log('requests refused status=400 reason="plain HTTP to a port that speaks TLS')


def test_who_never_finishes_the_handshake_is_given_up(start: Start, trust: Trust) -> None:
    hello = start(ONE + "handshake_timeout = 0.3")
    clients = [hello.connect() for _ in range(3)]
    clients[1].send(b"\x16\x03\x01\x02\x00\x01")
    clients[2].send(b"\x16" * 5)
    for client in clients:
        with suppress(ConnectionResetError):
            client.until_closed()
    hello.wait_for_log('connections given up reason="waited too long for what comes before HTTP" count=')
    hello.wait_until_closed()


def test_beyond_max_connections_a_client_is_told_so_in_tls(start: Start, trust: Trust) -> None:
    hello = start(ONE + 'max_connections = 1\nwhen_full = "refuse"')
    with closing(trust.connect(hello)) as served:
        assert served.ask().status == 200
        with closing(trust.connect(hello)) as refused:
            assert refused.answer().status == 503
            assert refused.until_closed() == b""
        assert served.ask().status == 200


def test_who_does_not_shake_hands_has_no_more_connections_than_the_limit(start: Start, trust: Trust) -> None:
    """Else the silent sockets of one client would take the places of all."""
    more = "tcp_defer_accept = 0\nmax_connections_per_client = 3\nforwarded_allow_ips = []\nhandshake_timeout = 60"
    hello = start(ONE + more)
    silent = [hello.connect() for _ in range(3)]
    assert hello.connect().until_closed() == b""
    hello.wait_for_log('connections given up reason="too many connections of one client" count=1')
    plain = socket.create_connection(("127.0.0.1", hello.ports[0]), source_address=("127.0.0.9", 0), timeout=LIMIT)
    with closing(Client(trust.context().wrap_socket(plain))) as client:
        assert client.ask().status == 200
    silent.pop().close()
    until(lambda: can_connect(hello, trust), "a place for it")


def can_connect(hello: Hello, trust: Trust) -> bool:
    try:
        with closing(trust.connect(hello)) as client:
            return client.ask().status == 200
    except OSError:  # it was closed in place of the handshake
        return False


def test_clients_that_break_off_in_the_handshake_leave_nothing_behind(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    for count in range(20):
        client = hello.connect()
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[: 1 + count % 11])
        client.reset() if count % 2 else client.close()
    hello.wait_until_closed()
    with closing(trust.connect(hello)) as client:
        assert client.ask().status == 200


def test_garbage_in_place_of_records_ends_the_connection_alone(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    client = trust.connect(hello)
    assert client.ask().status == 200
    with closing(Client(socket.socket(fileno=client.socket.detach()))) as plain:
        plain.send(GET * 10)
        with suppress(ConnectionResetError):
            plain.until_closed()
    hello.wait_until_closed()


def test_answers_that_fill_every_buffer_arrive_whole_and_in_order(start: Start, trust: Trust) -> None:
    hello = start(ONE + f'[hello]\nbody = "{"x" * 60_000}"')
    with closing(trust.connect(hello)) as client:
        client.send(GET * PIPELINED)
        assert [len(client.answer().body) for _ in range(PIPELINED)] == [60_000] * PIPELINED


@pytest.mark.parametrize("last", [LAST_GET, b"GET / HTTP/1.1\r\n\r\n"])
def test_the_end_is_announced_so_that_nobody_can_cut_an_answer_short(start: Start, trust: Trust, last: bytes) -> None:
    """RFC 8446 §6.1: without close_notify, an end of file may be an attacker's."""
    hello = start(ONE)
    plain = socket.create_connection(("127.0.0.1", hello.ports[0]), timeout=LIMIT)
    strict = trust.context().wrap_socket(plain, suppress_ragged_eofs=False)
    with closing(Client(strict)) as client:
        assert client.ask(last).is_last
        assert client.until_closed() == b""
    hello.wait_until_closed()


def test_a_client_that_announces_its_end_is_noticed(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    client = trust.connect(hello)
    assert client.ask().status == 200
    assert isinstance(client.socket, ssl.SSLSocket)
    client.socket.unwrap().close()
    hello.wait_until_closed()


def test_keys_may_be_updated_but_nothing_renegotiated(start: Start, trust: Trust) -> None:
    """A client that renegotiates again and again would have the server do nothing else (CVE-2011-1473)."""
    hello = start(ONE)
    assert b"200 OK" in commanded(hello, "-tls1_3", b"K\n", b"KEYUPDATE")
    assert b"200 OK" not in commanded(hello, "-tls1_2", b"R\n", b"RENEGOTIATING")


def commanded(hello: Hello, version: str, letter: bytes, done: bytes) -> bytes:
    """Give openssl a command of its own, and ask for a page when it has done it; return what it says then."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{hello.ports[0]}", version]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT) as process:
        assert process.stdin
        assert process.stdout
        until_said(process.stdout, b"Verify return code")
        process.stdin.write(letter)
        until_said(process.stdout, done)
        with suppress(BrokenPipeError):
            process.stdin.write(LAST_GET)
        return process.stdout.read()


def until_said(output: IO[bytes], text: bytes) -> None:
    for line in output:
        if text in line:
            return
    pytest.fail(f"it didn't say {text!r}")


def test_a_session_is_resumed_by_any_worker(start: Start, trust: Trust) -> None:
    hello = start(ONE.replace("1", "4", 1))
    context = trust.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with closing(trust.connect(hello, context=context)) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        session = client.socket.session
    for _ in range(8):
        plain = socket.create_connection(("127.0.0.1", hello.ports[0]), timeout=LIMIT)
        with context.wrap_socket(plain, session=session) as again:
            assert again.session_reused


def test_a_reload_takes_the_new_certificate_and_a_bad_pair_keeps_the_old(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    trust.issue("a", "new.example")
    hello.reload(ONE)
    until(lambda: served_names(hello, trust) == ["new.example"], "the new certificate")
    trust.issue("b", "b.example")
    (trust.folder / "a.key").write_bytes((trust.folder / "b.key").read_bytes())
    place = len(hello.log)
    hello.signal(SIGHUP)
    hello.wait_for_log("tls_key: ../a.key: isn't the key of ../a.pem", place)
    assert "reload failed" in hello.log[place:]
    assert served_names(hello, trust) == ["new.example"]


def served_names(hello: Hello, trust: Trust) -> list[str]:
    with closing(trust.connect(hello)) as client:
        return names_of(client)


def test_a_connection_ends_with_its_next_answer_after_a_reload(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    before = hello.worker_pids()
    with closing(trust.connect(hello)) as client:
        assert not client.ask().is_last
        hello.reload(ONE)
        until(lambda: client.ask().is_last, "the last answer")
        assert client.until_closed() == b""
    hello.wait_for_workers(1, without=before)


def test_nothing_is_lost_over_reloads(start: Start, trust: Trust) -> None:
    hello = start(ONE.replace("1", "2", 1))
    with Load(lambda: trust.connect(hello)) as load:
        for _ in range(3):
            load.wait_for_more()
            hello.reload(ONE.replace("1", "2", 1))
        load.wait_for_more()
    assert not load.lost
    assert set(load.answers) == {(200, b"Hello, world!")}


def test_an_upgrade_keeps_tls(start: Start, trust: Trust) -> None:
    hello = start(ONE)
    hello.signal(SIGUSR2)
    hello.wait_for_log("upgraded")
    with closing(trust.connect(hello)) as client:
        assert client.ask().status == 200


def test_a_proxy_header_comes_before_the_handshake(start: Start, trust: Trust, tmp_path: Path) -> None:
    hello = start(ONE + 'access_log = "access"\nproxy_protocol = true')
    with haproxy(tmp_path, hello.ports[0], "send-proxy-v2", mode="tcp") as port:
        plain = socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.9", 0), timeout=LIMIT)
        with closing(Client(trust.context().wrap_socket(plain))) as client:
            assert client.ask().status == 200
    access = hello.folder / "access"
    until(lambda: access.read_text().startswith("127.0.0.9 "), "the client in the access log")


@pytest.mark.parametrize(
    ("toml", "status", "problem"),
    [
        ('tls_cert = "../none.pem"', 66, "tls_cert: ../none.pem: can't be read: No such file"),
        ('tls_cert = "../a.pem"\ntls_key = "../none.key"', 66, "tls_key: ../none.key: can't be read: No such file"),
        ('tls_cert = "../a.key"', 78, "tls_cert: ../a.key: holds no certificate"),
        ('tls_cert = "../a.pem"', 78, "tls_key: ../a.pem: holds no key in PEM, or one that is encrypted; set tls_key"),
        ('tls_cert = "../a.pem"\ntls_key = "../b.key"', 78, "tls_key: ../b.key: isn't the key of ../a.pem"),
        (
            'tls_cert = "../a.pem"\ntls_key = "../locked.key"',
            78,
            "tls_key: ../locked.key: holds no key in PEM, or .* encrypted",
        ),
        ('tls_cert = "../a.pem"\ntls_key = ["../a.key", "../b.key"]', 78, "tls_key: 2 keys for 1 certificate"),
        ('tls_key = "../a.key"', 78, "tls_key: there is no certificate for it; set tls_cert"),
    ],
)
def test_a_mistake_is_told_in_a_line_also_by_the_check(
    start: Start, trust: Trust, toml: str, status: int, problem: str
) -> None:
    trust.issue("b", "b.example")
    lock = ["openssl", "pkey", "-aes128", "-passout", "pass:secret", "-in", "a.key", "-out", "locked.key"]
    subprocess.run(lock, cwd=trust.folder, check=True)
    for flags in ((), ("--check-config",)):
        ended = start.refused(toml, *flags)
        assert ended[0] == status
        assert re.fullmatch(f"prefork-hello: error: .*{problem}.*", ended[1])


def test_a_python_that_cannot_load_tls_says_so_in_a_line_and_a_reload_fails(start: Start, trust: Trust) -> None:
    trust.issue("a", *NAMES)
    start.files = {"without/sitecustomize.py": "import sys\nsys.modules['_ssl'] = None\n"}
    environ = {"PYTHONPATH": "without"}
    hello = start("workers = 1", environ=environ)
    hello.rewrite(ONE)
    hello.hang_up("reload failed generation=2 kept=1 reason=\"tls_cert: TLS can't be loaded: ")
    assert hello.get().status_code == 200
    status, line = start.refused(ONE, environ=environ)
    assert status == 71
    assert line.startswith("prefork-hello: error: tls_cert: TLS can't be loaded: ")


def test_a_certificate_that_ends_is_warned_about(start: Start, trust: Trust) -> None:
    trust.issue("a", *NAMES, not_after=datetime.now(UTC))
    hello = start(ONE)
    hello.wait_for_log("warning master")
    hello.wait_for_log('certificate path=../a.pem problem="expired on ')
    checked = run(hello, "--check-config")
    assert (checked.returncode, checked.stdout) == (0, "hello.toml: ok\n")
    assert re.fullmatch(r"prefork-hello: warning: \.\./a\.pem: expired on \S+\n", checked.stderr)


def test_after_a_reload_whose_workers_fail_the_certificates_that_serve_are_warned_about(
    start_app: Start, trust: Trust, installed: Installation
) -> None:
    installed.replace(run_expiry="INTERVAL = 0.1")  # seconds instead of a day
    for name in ("a", "b"):
        trust.issue(name, *NAMES, not_after=datetime.now(UTC))
    start_app.files = {"shop.py": "def application(environ, start_response): ..."}
    hello = start_app('app = "shop"\n' + ONE, environ=installed.environ)
    (hello.folder / "shop.py").write_text("1 / 0")
    hello.rewrite('app = "shop"\n' + ONE.replace("/a.", "/b."))
    hello.hang_up("reload failed generation=2 kept=1")
    seen = len(hello.log)
    hello.wait_for_log("certificate path=../a.pem", hello.wait_for_log("certificate path=../a.pem", seen))
    assert "b.pem" not in hello.log[seen:]
