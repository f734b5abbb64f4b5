"""The commands: what they print, what they call, and how they refuse."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from prefork import cli
from prefork.apps.interface import Find
from prefork.config.addresses import Inet
from prefork.config.errors import ConfigError
from prefork.config.foreign import NEEDLESS, NONE, OURS
from prefork.config.keys import keys_of
from prefork.config.load import Loaded
from prefork.config.option import HELLO, RUN
from prefork.config.schema import Config
from prefork.master.errors import StartError
from prefork.run import program
from prefork.version import VERSION

ROOT = Path(__file__).parents[2]
Served = list[tuple[str, Loaded, Callable[[], Loaded]]]


def prefork_hello(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, in the repository, with nothing of ours in the environment."""
    command = [sys.executable, "-c", "from prefork.cli import prefork_hello; prefork_hello()", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={"COLUMNS": "80", **environ}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """Record what is to be served instead of serving it."""
    calls: Served = []

    def serve(program: str, _find: Find, loaded: Loaded, reread: Callable[[], Loaded]) -> int:
        calls.append((program, loaded, reread))
        return 0

    monkeypatch.setattr(program, "serve", serve)
    for variable in [name for name in os.environ if name.startswith("PREFORK_") or name in {"PORT", "WEB_CONCURRENCY"}]:
        monkeypatch.delenv(variable)
    return calls


def status_of(entry: Callable[[], NoReturn], arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", ["prefork", *arguments])
    with pytest.raises(SystemExit) as end:
        entry()
    return end.value.code


def test_flags_reach_what_is_served(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "-b",
        "a:1",
        "-b",
        "[::1]:2",
        "-w",
        "4",
        "-D",
        "--keep-alive-timeout",
        "1.5s",
        "--limit-body=8k",
        "--body",
        "-x",
    ]
    assert status_of(cli.prefork_hello, arguments, monkeypatch) == 0
    ((program, loaded, _),) = served
    config = loaded.config
    assert program == "prefork-hello"
    assert (config.bind, config.workers, config.daemon) == ((Inet("a", 1), Inet("::1", 2)), 4, True)
    assert (config.keep_alive_timeout, config.limit_body, config.hello.body) == (1.5, 8192, "-x")
    assert {key for key, origin in loaded.origins.items() if origin != "default"} == {
        "bind", "workers", "daemon", "keep_alive_timeout", "limit_body", "hello.body",
    }  # fmt: skip


def test_prefork_hello_is_a_command_of_prefork_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status_of(cli.prefork, ["hello", "--no-daemon"], monkeypatch) == 0
    ((program, loaded, _),) = served
    assert (program, loaded.config, loaded.origins["daemon"]) == ("prefork-hello", Config(), "--daemon")


def test_rereading_sees_what_has_changed(served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("workers = 1\nbacklog = 1")
    status_of(cli.prefork_hello, ["-c", str(path), "--backlog", "7"], monkeypatch)
    ((_, loaded, reread),) = served
    path.write_text("workers = 2\nbacklog = 2")
    assert (loaded.config.workers, loaded.config.backlog) == (1, 7)
    assert (reread().config.workers, reread().config.backlog) == (2, 7)
    path.write_text("workers = 0")
    with pytest.raises(ConfigError):
        reread()


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (StartError(69, "127.0.0.1:80: address in use"), 69, "prefork-hello: error: 127.0.0.1:80: address in use\n"),
        (ConfigError("x.toml:1", "user", "no such user"), 78, "prefork-hello: error: x.toml:1: user: no such user\n"),
    ],
)
def test_a_start_that_fails_gets_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, status: int, line: str
) -> None:
    def serve(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(program, "serve", serve)
    assert status_of(cli.prefork_hello, [], monkeypatch) == status
    assert capsys.readouterr().err == line


def test_what_others_call_an_option_leads_to_one_of_ours() -> None:
    ours = {each.flag for each in keys_of(RUN).values()}
    assert set(OURS.values()) <= ours | {"--config", "--print-config"}
    assert ours.isdisjoint(OURS.keys() | NONE | NEEDLESS)


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("entry", "arguments", "status", "line"),
    [
        (cli.prefork_hello, ["--wrokers", "3"], 64, "prefork-hello: error: --wrokers: unknown option, did you mean --workers?"),
        (cli.prefork_hello, ["-x"], 64, "prefork-hello: error: -x: unknown option"),
        (cli.prefork_hello, ["--workers"], 64, 'prefork-hello: error: --workers: requires an argument, a whole number from 1 to 1024 or "auto"'),
        (cli.prefork, ["run", "a:b", "--preload"], 64, 'prefork: error: --preload: requires an argument, "off" or "mold"'),
        (cli.prefork_hello, ["--check-config=1"], 64, "prefork-hello: error: --check-config: does not take a value"),
        (cli.prefork_hello, ["extra"], 64, "prefork-hello: error: got unexpected extra argument (extra)"),
        (cli.prefork_hello, ["a\x1b\nb"], 64, 'prefork-hello: error: "got unexpected extra argument (a\\U0000001b\\nb)"'),
        (cli.prefork_hello, ["--workers", "many"], 64, 'prefork-hello: error: --workers: expected a whole number from 1 to 1024 or "auto", got "many"'),
        (cli.prefork_hello, ["-w", ""], 64, 'prefork-hello: error: --workers: expected a whole number from 1 to 1024 or "auto", got ""'),
        (cli.prefork_hello, ["-c", "nope.toml"], 66, "prefork-hello: error: nope.toml: cannot be read: no such file or directory"),
        (cli.prefork, [], 64, "prefork: error: missing command; see `prefork --help`"),
        (cli.prefork, ["run"], 64, "prefork: error: no application, name it as in `prefork run shop.wsgi:app` or set app in the configuration"),
        (cli.prefork, ["run", "a:b", "--app", "c:d"], 64, "prefork: error: --app: the application is given twice, as a:b too"),
        (cli.prefork, ["run", "a:b", "--continue-on-read"], 78, "prefork: error: --continue-on-read: continue_on_read needs threads, as the only one can't wait for a body that it has to receive, set threads to 2 or more"),
        (cli.prefork, ["run", "a.py"], 64, 'prefork: error: --app: expected MODULE:CALLABLE or MODULE:FACTORY() such as "shop.wsgi:app", got "a.py", did you mean a?'),
        (cli.prefork, ["run", "./a/b.py:c"], 64, 'prefork: error: --app: expected MODULE:CALLABLE or MODULE:FACTORY() such as "shop.wsgi:app", got "./a/b.py:c", did you mean a.b:c?'),
        (cli.prefork, ["run", "a b"], 64, 'prefork: error: --app: expected MODULE:CALLABLE or MODULE:FACTORY() such as "shop.wsgi:app", got "a b"'),
        (cli.prefork, ["run", "a:b", "--host", "::1"], 64, "prefork: error: --host: unknown option, did you mean --bind ADDRESS?"),
        (cli.prefork, ["run", "a:b", "-k", "gevent"], 64, "prefork: error: -k: unknown option, did you mean --threads N?"),
        (cli.prefork, ["status", "--port", "1"], 64, "prefork: error: --port: unknown option"),
        (cli.prefork, ["a:b"], 64, "prefork: error: no such command 'a:b'; an application is served by `prefork run`"),
        (cli.prefork, ["run", "a:b", "--vacuum"], 64, "prefork: error: --vacuum: unknown option; leave it out, none is needed"),
        (cli.prefork, ["start"], 64, "prefork: error: no such command 'start', did you mean 'run'?"),
        (cli.prefork, ["restart"], 64, "prefork: error: no such command 'restart', did you mean 'reload'?"),
        (cli.prefork, ["helo"], 64, r"prefork: error: no such command 'helo'"),
        (cli.prefork, ["service"], 64, "prefork: error: missing command; see `prefork service --help`"),
        (cli.prefork, ["service", "install", "a/b"], 64, 'prefork: error: NAME: expected up to 64 letters, digits, -, _ and ., got "a/b"'),
        (cli.prefork, ["service", "remove", "nope"], 69, "prefork: error: /etc/systemd/system/prefork-nope.service: there is no such service"),
        (cli.prefork, ["hello", "-w", "0"], 64, 'prefork: error: --workers: expected a whole number from 1 to 1024 or "auto", got 0'),
    ],
)  # fmt: skip
def test_a_mistake_of_usage_gets_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    entry: Callable[[], NoReturn],
    arguments: list[str],
    status: int,
    line: str,
) -> None:
    assert status_of(entry, arguments, monkeypatch) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(line)
    assert printed.err.count("\n") == 1


def test_the_help_tells_of_every_key_in_80_columns() -> None:
    printed = prefork_hello("-h")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert max(map(len, printed.stdout.split("\n"))) <= 80
    words = " ".join(printed.stdout.split())
    for key in keys_of(HELLO).values():
        assert key.flag in words
        assert key.option.doc in words
    titles = re.findall(r"^(\w.*):$", printed.stdout, flags=re.MULTILINE)
    assert titles == [*dict.fromkeys(key.option.group.value for key in keys_of(HELLO).values()), "Other"]


def test_the_help_of_run_tells_of_its_keys_in_80_columns_and_of_no_other() -> None:
    command = [sys.executable, "-m", "prefork", "run", "-h"]
    printed = subprocess.run(
        command, cwd=ROOT, env={"COLUMNS": "80"}, capture_output=True, text=True, check=True
    ).stdout
    assert max(map(len, printed.split("\n"))) <= 80
    words = " ".join(printed.split())
    for key in keys_of(RUN).values():
        assert key.flag in words
        assert key.option.doc in words
    assert "--body " not in printed
    assert re.findall(r"^(\w.*):$", printed, flags=re.MULTILINE)[:2] == ["Application", "Development"]


@pytest.mark.parametrize(
    ("arguments", "app", "name"),
    [
        (["shop.wsgi:app", "-w", "2"], "shop.wsgi:app", "prefork-shop"),
        (["--app", "wsgi:make()"], "wsgi:make()", "prefork-wsgi"),
        (["shop"], "shop", "prefork-shop"),
    ],
)
def test_the_application_gives_the_service_its_name(
    served: Served, monkeypatch: pytest.MonkeyPatch, arguments: list[str], app: str, name: str
) -> None:
    assert status_of(cli.prefork, ["run", *arguments], monkeypatch) == 0
    ((program, loaded, _),) = served
    assert (program, loaded.config.app) == (name, app)


def test_the_version_names_what_it_runs_on() -> None:
    printed = prefork_hello("--version")
    assert re.fullmatch(r"prefork \S+ \(Python [\d.]+, Linux \S+\)\n", printed.stdout)
    assert printed.stdout == prefork_hello("-V").stdout
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_check_config_says_that_the_file_is_fine() -> None:
    printed = prefork_hello("--check-config", "--config", "config/hello.toml")
    assert (printed.returncode, printed.stdout, printed.stderr) == (0, "config/hello.toml: ok\n", "")
    assert prefork_hello("--check-config").stdout == "configuration: ok\n"


def test_print_config_says_where_each_value_came_from() -> None:
    printed = prefork_hello("--print-config", "-c", "config/hello.toml", "-w", "2", PREFORK_BACKLOG="9")
    values = tomllib.loads(printed.stdout)
    assert (values["bind"], values["backlog"], values["workers"]) == (["0.0.0.0:8080"], 9, 2)
    origins: Mapping[str, str] = dict(re.findall(r"^(\w+) = .*  # (.*)$", printed.stdout, flags=re.MULTILINE))
    assert origins["bind"].startswith("config/hello.toml:")
    assert (origins["backlog"], origins["workers"], origins["log"]) == ("PREFORK_BACKLOG", "--workers", "default")


@pytest.mark.parametrize(
    ("arguments", "environ", "status"),
    [
        (["--workers", "many"], {}, 64),
        ([], {"PREFORK_WORKERS": "many"}, 78),
        (["-c", "/"], {}, 66),
        (["--body", "\udcff"], {}, 64),
    ],
)
def test_nobody_sees_a_traceback(arguments: list[str], environ: dict[str, str], status: int) -> None:
    printed = prefork_hello(*arguments, **environ)
    assert (printed.returncode, printed.stdout) == (status, "")
    assert re.fullmatch(r"prefork-hello: error: .*\n", printed.stderr)


@pytest.mark.parametrize("question", ["-h", "-V", "--print-config"])
def test_a_full_disk_is_one_line_too(question: str) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "prefork", "hello", question]
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "prefork: error: standard output: No space left on device\n"
