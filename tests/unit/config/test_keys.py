"""The keys and what follows from them."""

import pytest

from prefork.config.keys import KEYS, Key, closest, held_until_restart, keys_of, path_in
from prefork.config.option import HELLO, RUN
from prefork.config.schema import Config, Hello


@pytest.mark.parametrize(
    ("name", "table", "leaf", "flag", "variable"),
    [
        ("workers", "", "workers", "--workers", "PREFORK_WORKERS"),
        ("keep_alive_timeout", "", "keep_alive_timeout", "--keep-alive-timeout", "PREFORK_KEEP_ALIVE_TIMEOUT"),
        ("hello.content_type", "hello", "content_type", "--content-type", "PREFORK_HELLO_CONTENT_TYPE"),
    ],
)
def test_a_key_has_three_spellings(name: str, table: str, leaf: str, flag: str, variable: str) -> None:
    key = KEYS[name]
    assert (key.table, key.leaf, key.flag, key.variable) == (table, leaf, flag, variable)


def test_each_command_has_the_common_keys_and_its_own() -> None:
    hello, run = keys_of(HELLO), keys_of(RUN)
    assert set(hello) | set(run) == set(KEYS)
    assert {"hello.body", "hello.status"} <= set(hello) - set(run)
    assert {"app", "threads", "reload"} <= set(run) - set(hello)
    assert "workers" in set(hello) & set(run)


@pytest.mark.parametrize("spelling", ["leaf", "flag", "variable"])
def test_no_two_keys_share_a_spelling(spelling: str) -> None:
    assert len({getattr(key, spelling) for key in KEYS.values()}) == len(KEYS)


def test_no_two_keys_share_a_short_flag() -> None:
    shorts = ["-c", "-h", "-V", *(key.option.short for key in KEYS.values() if key.option.short)]
    assert len(set(shorts)) == len(shorts)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_default_is_a_value_that_could_be_given(key: Key) -> None:
    kind = key.option.kind
    assert key.default is None or kind.parse(kind.spell(key.default)) == key.default


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_doc_line_is_one_short_sentence(key: Key) -> None:
    assert key.option.doc.endswith(".")
    assert len(key.option.doc) <= 80


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("wrokers", "workers"),
        ("keep-alive-timeout", "keep_alive_timeout"),
        ("BODY", "hello.body"),
        ("loglevel", "log_level"),
        ("worker_class", "threads"),
        ("max_requests_jitter", "recycle_jitter"),
        ("certfile", "tls_cert"),
        ("host", "bind"),
        ("errorlog", "log"),
        ("wsgi_app", "app"),
        ("harakiri", "hang_timeout"),
    ],
)
def test_a_slip_finds_the_key_that_was_meant(word: str, name: str) -> None:
    assert closest(word) == KEYS[name]


def test_a_word_like_no_key_finds_none() -> None:
    assert closest("zzz") is None


def test_a_key_of_others_that_has_no_like_finds_none_though_some_resemble_it() -> None:
    assert closest("master") is None
    assert closest("attach-daemon") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("log", ["-", "journald"]),
        ("access_log", ["off", "-", "journald"]),
        ("control", ["auto", "off"]),
        ("pid_file", [None]),
    ],
)
def test_a_word_for_something_else_is_no_path(name: str, words: list[str | None]) -> None:
    assert [path_in(configured(name, each), name) for each in words] == [None] * len(words)
    assert path_in(configured(name, "auto off"), name) == "auto off"
    assert path_in(configured("log", "auto"), "log") == "auto"


def configured(name: str, value: str | None) -> Config:
    return Config(**{name: value})  # type: ignore[arg-type]  # each of these is text


def test_only_keys_that_take_a_restart_keep_their_values_when_they_change() -> None:
    before = Config(user="daemon")
    after = Config(user="www", pid_file="/run/x.pid", workers=9, hello=Hello(body="Bye"))
    assert held_until_restart(before, before) == {}
    assert held_until_restart(before, after) == {"user": "daemon", "pid_file": None}
