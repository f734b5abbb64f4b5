"""What the keys accept where that is the schema's own decision, and the sample file that shows all of them."""

import re
import tomllib
from pathlib import Path

import pytest

from prefork.config.addresses import Address, Inet, Unix
from prefork.config.keys import KEYS, keys_of
from prefork.config.option import HELLO, RUN
from prefork.config.schema import Config, Hello

SAMPLES = Path(__file__).parents[3] / "config"


def test_the_defaults_are_those_that_are_promised() -> None:
    config = Config()
    assert (config.bind, config.accept, config.backlog) == ((Inet("127.0.0.1", 8080),), "reuseport", 4096)
    assert (config.workers, config.daemon, config.user, config.pid_file) == ("auto", False, None, None)
    assert (config.boot_timeout, config.graceful_timeout, config.max_spawn_failures) == (60, 30, 3)
    assert (config.limit_request_line, config.limit_head, config.limit_body) == (8192, 32768, 16777216)
    assert config.hello == Hello(body="Hello, world!", content_type="text/plain", status=200)


@pytest.mark.parametrize(
    ("hang", "request_timeout", "threads", "bound"),
    [(30, 0, 1, 30), (30, 5, 1, 5), (30, 60, 1, 30), (0, 5, 1, 5), (0, 0, 1, 0), (30, 5, 2, 30), (0, 5, 2, 0)],
)
def test_with_one_thread_the_loop_stands_still_for_no_longer_than_a_request_may_take(
    hang: float, request_timeout: float, threads: int, bound: float
) -> None:
    config = Config(hang_timeout=hang, request_timeout=request_timeout, threads=threads)
    assert config.loop_timeout == bound


def test_both_kinds_of_address_are_addresses() -> None:
    addresses: list[Address] = [Inet("::1", 80), Unix("/run/x.sock")]
    assert list(map(str, addresses)) == ["[::1]:80", "unix:/run/x.sock"]


@pytest.mark.parametrize(
    "value", ["text/plain", "text/html; charset=utf-8", 'text/x;a="b;c" ; d=e', "application/vnd.api+json"]
)
def test_a_media_type_is_accepted(value: str) -> None:
    assert KEYS["hello.content_type"].option.kind.parse(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain;",
        "text/plain\r\nX: y",
        "text/plain\n",
        "text/plain; a=\0",
        "text/é",
        "text /plain",
        'a/b; c="\x7f"',
        'a/b; c="d',
        7,
    ],
)
def test_what_would_break_the_head_of_a_response_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="media type"):
        KEYS["hello.content_type"].option.kind.parse(value)


@pytest.mark.parametrize("status", [100, 199, 204, 205, 304, 600, "200", True, 200.0])
def test_a_status_without_content_is_refused(status: object) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        KEYS["hello.status"].option.kind.parse(status)


@pytest.mark.parametrize("body", ["", "x" * 65536, "two\nlines\0", "héllo 🌍"])
def test_a_body_is_any_text(body: str) -> None:
    assert KEYS["hello.body"].option.kind.parse(body) == body


@pytest.mark.parametrize("body", ["x" * 65537, "\udcff", 1, None])
def test_a_body_that_is_no_utf_8_or_huge_is_refused(body: object) -> None:
    with pytest.raises(ValueError, match="text of at most"):
        KEYS["hello.body"].option.kind.parse(body)


@pytest.mark.parametrize("name", ["log", "access_log", "pid_file"])
@pytest.mark.parametrize("path", ["", "a\0b", "a\nb", "\udcff", 1, ["x"]])
def test_what_is_no_path_is_refused(name: str, path: object) -> None:
    with pytest.raises(ValueError, match="a path"):
        KEYS[name].option.kind.parse(path)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b", "a\n", 0])
def test_what_is_no_account_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match="a name"):
        KEYS["user"].option.kind.parse(name)


@pytest.mark.parametrize(("file", "command"), [("hello.toml", HELLO), ("app.toml", RUN)])
def test_the_sample_file_shows_every_key_of_its_command_with_its_default(file: str, command: str) -> None:
    text = (SAMPLES / file).read_text(encoding="utf-8")
    everything = tomllib.loads(re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE))
    shown = {
        **{name: raw for name, raw in everything.items() if name != "hello"},
        **{f"hello.{name}": raw for name, raw in everything.get("hello", {}).items()},
    }
    assert set(shown) == set(keys_of(command))
    chosen = tomllib.loads(text)
    for name, raw in shown.items():
        default = KEYS[name].default
        assert name in chosen or default in (None, (), KEYS[name].option.kind.parse(raw)), name


def test_the_sample_files_choose_little() -> None:
    assert tomllib.loads((SAMPLES / "app.toml").read_text(encoding="utf-8")) == {}
    assert tomllib.loads((SAMPLES / "hello.toml").read_text(encoding="utf-8")) == {
        "bind": ["0.0.0.0:8080"],
        "backlog": 10240,
        "workers": 4,
        "hello": {},
    }


@pytest.mark.parametrize(
    "target", ["app", "shop.wsgi", "shop.wsgi:app", "shop:create_app()", "a:b.c", "a.b:C.d()", "_x:_y", "läden:app"]
)
def test_an_application_is_named_by_its_module_and_what_it_is_there(target: str) -> None:
    assert KEYS["app"].option.kind.parse(target) == target


@pytest.mark.parametrize(
    "target",
    ["", "shop.py", "wsgi.py:app", "shop/wsgi:app", "a:", ":a", "a:b(1)", "a:b()()", "a b:c", ".a:b", "a..b:c", 7],
)
def test_what_names_no_application_is_refused(target: object) -> None:
    with pytest.raises(ValueError, match="MODULE:CALLABLE"):
        KEYS["app"].option.kind.parse(target)


@pytest.mark.parametrize("prefix", ["", "/", "shop", "/shop/", "//shop", "/a?b", "/a b", "/a%20b"])
def test_what_is_no_prefix_of_a_path_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="a path such as"):
        KEYS["url_prefix"].option.kind.parse(prefix)


def test_a_prefix_is_compared_with_decoded_paths_so_one_that_is_encoded_is_refused() -> None:
    parse = KEYS["url_prefix"].option.kind.parse
    with pytest.raises(ValueError, match='got "/%41%2d%c3%a9", did you mean /A-é'):
        parse("/%41%2d%c3%a9")
    assert parse("/100%") == "/100%"
