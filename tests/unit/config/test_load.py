"""What holds in the end: precedence, origins, the environment and the flags."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.config.addresses import Inet, Unix
from prefork.config.errors import ConfigError
from prefork.config.keys import KEYS, keys_of
from prefork.config.load import load
from prefork.config.option import HELLO, RUN
from prefork.config.schema import Config


def complaint(environ: Mapping[str, str], flags: Mapping[str, object]) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        load(None, environ, flags)
    return error.value


def test_nothing_given_is_the_defaults() -> None:
    loaded = load(None, {"HOME": "/root"}, {})
    assert loaded.config == Config()
    assert loaded.origins == dict.fromkeys(KEYS, "default")
    assert loaded.path is None


@given(file=st.booleans(), web=st.booleans(), variable=st.booleans(), flag=st.booleans())
def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    tmp_path_factory: pytest.TempPathFactory, *, file: bool, web: bool, variable: bool, flag: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "x.toml"
    path.write_text("\nworkers = 1")
    environ = {"PREFORK_WORKERS": "3"} if variable else {}
    environ |= {"WEB_CONCURRENCY": "2"} if web else {}
    loaded = load(str(path) if file else None, environ, {"workers": "4"} if flag else {})
    ranks = [("auto", "default", True), (1, f"{path}:2", file), (2, "WEB_CONCURRENCY", web)]
    ranks += [(3, "PREFORK_WORKERS", variable), (4, "--workers", flag)]
    *_, (value, origin, _) = [rank for rank in ranks if rank[2]]
    assert (loaded.config.workers, loaded.origins["workers"]) == (value, origin)


def test_a_mistake_is_found_also_where_it_is_overridden() -> None:
    assert complaint({"PREFORK_WORKERS": "many"}, {"workers": "4"}).place == "PREFORK_WORKERS"


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[hello]\nbody = "x"')
    loaded = load(None, {"PREFORK_CONFIG": str(path)}, {})
    assert (loaded.config.hello.body, loaded.path, loaded.origins["hello.body"]) == ("x", str(path), f"{path}:2")
    assert loaded.config.hello.status == 200


def test_a_flag_names_the_file_rather_than_the_environment(tmp_path: Path) -> None:
    (tmp_path / "x.toml").touch()
    assert load(str(tmp_path / "x.toml"), {"PREFORK_CONFIG": "nope.toml"}, {}).config == Config()


@pytest.mark.parametrize("name", ["", "nope.toml"])
def test_a_file_that_is_named_has_to_be_there(name: str) -> None:
    assert complaint({"PREFORK_CONFIG": name}, {}).status == 66


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("PREFORK_BIND", "[::1]:1,unix:x", "bind", (Inet("::1", 1), Unix("x"))),
        ("PREFORK_DAEMON", "yes", "daemon", True),
        ("PREFORK_KEEP_ALIVE_TIMEOUT", "1.5s", "keep_alive_timeout", 1.5),
        ("PREFORK_LIMIT_BODY", "1g", "limit_body", 1024**3),
        ("WEB_CONCURRENCY", "3", "workers", 3),
        ("PORT", "3000", "bind", (Inet("0.0.0.0", 3000),)),
    ],
)
def test_a_variable_sets_its_key(variable: str, text: str, name: str, value: object) -> None:
    loaded = load(None, {variable: text}, {})
    assert (getattr(loaded.config, name), loaded.origins[name]) == (value, variable)


@pytest.mark.parametrize("order", [1, -1])
def test_prefork_bind_beats_port(order: int) -> None:
    environ = dict([("PORT", "3000"), ("PREFORK_BIND", "a:1")][::order])
    assert load(None, environ, {}).config.bind == (Inet("a", 1),)


@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        ("PREFORK_WORKERS", "", 'PREFORK_WORKERS: expected a whole number from 1 to 1024 or "auto", got ""'),
        ("WEB_CONCURRENCY", "0", 'WEB_CONCURRENCY: expected a whole number from 1 to 1024 or "auto", got 0'),
        ("PORT", "http", 'PORT: expected a whole number from 0 to 65535, got "http"'),
        ("PORT", "80,b:1", 'PORT: expected a whole number from 0 to 65535, got "80,b:1"'),
        (
            "PREFORK_BIND",
            "a:1,,b:1",
            'PREFORK_BIND: expected HOST:PORT, [IPV6]:PORT, unix:PATH, systemd, systemd:NAME or fd:N, got ""',
        ),
        ("PREFORK_BIND", "a:1,a:1", 'PREFORK_BIND: "a:1" is listed twice'),
        ("PREFORK_WROKERS", "1", "PREFORK_WROKERS: unknown variable, did you mean PREFORK_WORKERS?"),
        ("PREFORK_BODY", "x", "PREFORK_BODY: unknown variable, did you mean PREFORK_HELLO_BODY?"),
        ("PREFORK_HELLO_BDY", "x", "PREFORK_HELLO_BDY: unknown variable, did you mean PREFORK_HELLO_BODY?"),
        ("PREFORK_ZZZ", "1", "PREFORK_ZZZ: unknown variable"),
        ("PREFORK_", "1", "PREFORK_: unknown variable"),
        ("PREFORK_PORT", "8080", "PREFORK_PORT: unknown variable, did you mean PREFORK_BIND?"),
    ],
)
def test_a_mistake_in_the_environment_gets_one_line(variable: str, text: str, line: str) -> None:
    error = complaint({variable: text}, {})
    assert (str(error), error.status) == (line, 78)


@pytest.mark.parametrize(
    ("command", "file", "environ", "flags", "line"),
    [
        (HELLO, 'app = "a:b"', {}, {}, "x.toml:1: app: belongs to prefork run, not to this command"),
        (HELLO, "", {"PREFORK_APP": "a:b"}, {}, "PREFORK_APP: belongs to prefork run, not to this command"),
        (RUN, "", {}, {"hello.body": "x"}, "--body: belongs to prefork-hello, not to this command"),
        (RUN, "[hello]\nstatus=1", {}, {}, "x.toml:2: hello.status: belongs to prefork-hello, not to this command"),
    ],
)
def test_a_key_of_another_command_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, command: str, file: str, environ: dict[str, str],
    flags: dict[str, object], line: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text(file)
    with pytest.raises(ConfigError) as error:
        load("x.toml", environ, flags, keys_of(command))
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PREFORK_INTERNAL_FDS", "7"),
        ("PREFORK_PORT", "tcp://10.0.0.1:80"),
        ("PREFORK_SERVICE_HOST", "10.0.0.1"),
        ("PREFORK_HELLO_SERVICE_PORT_HTTP", "80"),
        ("PREFORK_HELLO_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PREFORKED", "1"),
        ("prefork_workers", "many"),
    ],
)
def test_a_variable_that_is_not_ours_is_left_alone(variable: str, text: str) -> None:
    assert load(None, {variable: text}, {}).config == Config()


@pytest.mark.parametrize(
    ("name", "given", "line"),
    [
        ("workers", "many", '--workers: expected a whole number from 1 to 1024 or "auto", got "many"'),
        (
            "bind",
            ("a:1", "b:1,c:1"),
            '--bind: expected HOST:PORT, [IPV6]:PORT, unix:PATH, systemd, systemd:NAME or fd:N, got "b:1,c:1"',
        ),
        ("hello.status", "304", "--status: expected a whole number from 200 to 599 but not 204, 205 or 304, got 304"),
    ],
)
def test_a_mistake_in_a_flag_is_a_mistake_of_usage(name: str, given: object, line: str) -> None:
    error = complaint({}, {name: given})
    assert (str(error), error.status) == (line, 64)


def test_flags_may_be_texts_switches_and_lists() -> None:
    config = load(None, {}, {"bind": ("a:1", "unix:b"), "daemon": True, "hello.content_type": "text/html"}).config
    assert (config.bind, config.daemon) == ((Inet("a", 1), Unix("b")), True)
    assert (config.hello.content_type, config.hello.body) == ("text/html", "Hello, world!")
