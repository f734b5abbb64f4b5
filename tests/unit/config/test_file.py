"""Reading a configuration file: what it sets, and one clear line for each way to get it wrong."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefork.config.errors import ConfigError
from prefork.config.file import read_file

Write = Callable[[str | bytes], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes x.toml in the working directory, and returns its path."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes) -> str:
        Path("x.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
        return "x.toml"

    return write


def complaint(path: str) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        [setting.value() for setting in read_file(path)]
    assert str(error.value).isprintable()
    return error.value


def test_settings_come_in_order_with_their_places(write: Write) -> None:
    path = write('workers = 4\n\nbind = "a:1"\n[hello]\nstatus = 201\n')
    settings = [(setting.key.name, setting.raw, setting.place, setting.label) for setting in read_file(path)]
    assert settings == [
        ("workers", 4, "x.toml:1", "workers"),
        ("bind", "a:1", "x.toml:3", "bind"),
        ("hello.status", 201, "x.toml:5", "hello.status"),
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('hello.body = "x"', 1),
        ('\n[hello]\n"body" = "x"', 3),
        ('\nhello = { body = "x" }', 2),
        ('[ "hello" ]\r\nbody="x"', 2),
    ],
)
def test_a_key_of_a_table_may_be_written_in_any_way(write: Write, content: str, line: int) -> None:
    (setting,) = read_file(write(content))
    assert (setting.key.name, setting.raw, setting.place) == ("hello.body", "x", f"x.toml:{line}")


@pytest.mark.parametrize("content", ["", "\n", "# nothing\n", "\ufeffworkers = 4\n", "hello = {}", "[hello]"])
def test_a_file_may_say_little(write: Write, content: str) -> None:
    assert len(list(read_file(write(content)))) <= 1


@pytest.mark.parametrize("name", ["gunicorn.conf.py", "uwsgi.ini"])
def test_a_file_of_another_server_is_told_as_such(write: Write, name: str) -> None:
    os.rename(write("[uwsgi]\nbind = 'a:1' if True else None"), name)
    told = complaint(name)
    assert str(told).startswith(f"{name}:2: not valid TOML: ")
    assert str(told).endswith(", write the settings of another server as TOML, by our names")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('\nworkers = "many"', 'x.toml:2: workers: expected a whole number from 1 to 1024 or "auto", got "many"'),
        ("workers = true", 'x.toml:1: workers: expected a whole number from 1 to 1024 or "auto", got true'),
        ("[workers]\nx = 1", 'x.toml:1: workers: expected a whole number from 1 to 1024 or "auto", got a table'),
        ("[[bind]]", "x.toml:1: bind: expected HOST:PORT, [IPV6]:PORT, unix:PATH, systemd, systemd:NAME or fd:N, got a table"),
        ("unix_mode = 660", 'x.toml:1: unix_mode: expected an octal mode such as "0660", got 660'),
        ("backlog = 0x" + "f" * 5000, "x.toml:1: backlog: expected a whole number from 1 to 65535, got a huge number"),
        ('pid_file = "8000"', 'x.toml:1: pid_file: expected a path, not a port, which belongs to bind, got "8000"'),
        ("write_timeout = nan", 'x.toml:1: write_timeout: expected a duration from 1ms to 24h such as 30, "1.5s" or "2m", got nan'),
        ("log = 2024-01-01", 'x.toml:1: log: expected "-", "journald" or a path, got a date or time'),
        ("[hello]\nstatus = 204", "x.toml:2: hello.status: expected a whole number from 200 to 599 but not 204, 205 or 304, got 204"),
        ("hello = 3", "x.toml:1: hello: expected a table, got 3"),
        ("[[hello]]", "x.toml:1: hello: expected a table, got a list"),
        ("wrokers = 1", 'x.toml:1: wrokers: unknown key, did you mean "workers"?'),
        ("thunder-lock = true", "x.toml:1: thunder-lock: unknown key, leave it out, none is needed"),
        ("sendfile = false", "x.toml:1: sendfile: unknown key, leave it out, none is needed"),
        ('post_fork = "x"', 'x.toml:1: post_fork: unknown key, did you mean "hooks"?'),
        ("keep-alive-timeout = 1", 'x.toml:1: keep-alive-timeout: unknown key, did you mean "keep_alive_timeout"?'),
        ('body = "x"', 'x.toml:1: body: unknown key, did you mean "body" in [hello]?'),
        ("[hello]\nworkers = 1", 'x.toml:2: hello.workers: unknown key, did you mean "workers" above the first table?'),
        ('[hello]\nbdy = "x"', 'x.toml:2: hello.bdy: unknown key, did you mean "body"?'),
        ("[helo]\nzzz = 1", "x.toml:1: helo: unknown key, did you mean [hello]?"),
        ("[hello]\nzzz = 1", "x.toml:2: hello.zzz: unknown key"),
        ('"hello.body" = "x"', "x.toml:1: hello.body: unknown key, did you mean [hello]?"),
        ('"we\\nird" = 1', 'x.toml: "we\\nird": unknown key'),
        ('"" = 1', 'x.toml:1: "": unknown key'),
        ("a = 1\nb = ", "x.toml:2: not valid TOML: Invalid value"),
        ("a = \n\nb = 1", "x.toml:1: not valid TOML: Invalid value"),
        ("a = 1\n\nb = 1 2", "x.toml:3: not valid TOML: Expected newline or end of document after a statement"),
        ("a = 1\na = 2", "x.toml:2: not valid TOML: Cannot overwrite a value"),
        ('\na = """', "x.toml:2: not valid TOML: Unterminated string"),
        ("a = " + "9" * 5000, "x.toml: not valid TOML: a number has too many digits"),
        ("a = " + "[" * 100_000, "x.toml: not valid TOML: nested too deeply"),
        ("a = 1\0", "x.toml:1: not valid TOML: Expected newline or end of document after a statement"),
        (b"\nb = '\xff'", "x.toml:2: not UTF-8"),
        (b"\x7fELF\x02\x01", "x.toml:1: not valid TOML: Invalid statement"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_line(write: Write, content: str | bytes, line: str) -> None:
    error = complaint(write(content))
    assert (str(error), error.status) == (line, 78)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("nope.toml", "nope.toml: cannot be read: no such file or directory"),
        ("", '"": cannot be read: no such file or directory'),
        (".", ".: cannot be read: is a directory"),
        ("a\nb", '"a\\nb": cannot be read: no such file or directory'),
        ("x" * 300, "x" * 300 + ": cannot be read: file name too long"),
    ],
)
def test_a_file_that_is_none_exits_with_66(write: Write, path: str, line: str) -> None:
    error = complaint(path)
    assert (str(error), error.status) == (line, 66)


def test_a_file_whose_name_is_not_utf_8_is_told_to_be_renamed(write: Write) -> None:
    name = os.fsdecode(b"caf\xe9.toml")
    Path(write("workers = 1")).rename(name)
    error = complaint(name)
    assert (str(error), error.status) == ('"caf\\U0000dce9.toml": the name of this file is not UTF-8, rename it', 78)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Be somebody whom permissions bind."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    os.seteuid(was)


@pytest.mark.usefixtures("nobody")
def test_a_file_that_may_not_be_read_exits_with_77() -> None:
    error = complaint("/etc/shadow")
    assert (str(error), error.status) == ("/etc/shadow: cannot be read: permission denied", 77)
