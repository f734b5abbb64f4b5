"""The effective configuration as a file."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.config.describe import as_toml
from prefork.config.keys import keys_of
from prefork.config.load import load
from prefork.config.option import RUN

printable = st.text(st.characters(blacklist_categories=["Cs"]), max_size=80)
flags = st.fixed_dictionaries(
    {},
    optional={
        "bind": st.sets(st.integers(0, 65535), min_size=1, max_size=5).map(
            lambda ports: tuple(f"[::1]:{n}" for n in ports)
        ),
        "workers": st.just("auto") | st.integers(1, 1024).map(str),
        "daemon": st.booleans(),
        "user": st.just("www-data"),
        "unix_mode": st.integers(0, 0o777).map(lambda mode: f"{mode:03o}"),
        "body_timeout": st.integers(1, 10**6).map(lambda n: f"{n}ms"),
        "limit_body": st.integers(1, 2**40).map(str),
        "log": printable.filter(lambda text: text and not any(c < " " or c == "\x7f" for c in text)),
        "hello.body": printable,
        "hello.status": st.integers(206, 303).map(str),
    },
)


@given(flags=flags)
def test_what_is_printed_gives_the_same_configuration(
    tmp_path_factory: pytest.TempPathFactory, flags: dict[str, object]
) -> None:
    loaded = load(None, {}, flags)
    path = tmp_path_factory.getbasetemp() / "printed.toml"
    path.write_text(as_toml(loaded), encoding="utf-8")
    assert load(str(path), {}, {}).config == loaded.config


def test_each_value_is_printed_with_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text('\nlimit_body = 4096\n[hello]\nbody = "hi"')
    lines = as_toml(load("x.toml", {"PREFORK_BACKLOG": "10"}, {"workers": "4"})).split("\n")
    lines = [re.sub(" +# ", " # ", line) for line in lines]
    assert 'bind = ["127.0.0.1:8080"] # default' in lines
    assert "backlog = 10 # PREFORK_BACKLOG" in lines
    assert "workers = 4 # --workers" in lines
    assert "# user is not set # default" in lines
    assert 'limit_body = "4KiB" # x.toml:2' in lines
    assert lines[-4:-2] == ["[hello]", 'body = "hi" # x.toml:4']


def test_a_long_value_does_not_push_the_others_aside() -> None:
    lines = as_toml(load(None, {}, {"hello.body": "x" * 200})).split("\n")
    assert lines[-1].index("#") == 42


def test_only_keys_of_the_command_are_printed() -> None:
    lines = as_toml(load(None, {}, {}, keys_of(RUN))).split("\n")
    assert lines[0].startswith("# app is not set")
    assert not [line for line in lines if "hello" in line]
