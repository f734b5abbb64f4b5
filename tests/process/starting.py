"""Starts the command, and makes sure at the end of the test that nothing of it is left over."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.process import proc
from tests.process.hello import ANY_PORT, Hello
from tests.process.waiting import LIMIT, until

Completed = subprocess.CompletedProcess[str]

COMMAND: Final = (str(Path(sys.executable).with_name("prefork-hello")), "--config", "hello.toml")
RUN: Final = (str(Path(sys.executable).with_name("prefork")), "run", "--config", "hello.toml")
TRACEBACK: Final = "there is a traceback in the log"
# The last would have each of the thousands of starts compile the program, which takes longer than all else of a start.
NOT_INHERITED: Final = re.compile(
    r"PREFORK_.*|WEB_CONCURRENCY|PORT|NOTIFY_SOCKET|WATCHDOG_.*|LISTEN_.*|FDSTORE|JOURNAL_STREAM|PYTHONDONTWRITEBYTECODE"
).fullmatch
# Root becomes somebody else who may read what root may: Python itself can be in a folder that is closed to others.
READ_ALL: Final = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
AS_NOBODY: Final = (
    ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *READ_ALL) if os.geteuid() == 0 else ()
)
CHILDREN_IGNORED: Final = (
    "env",
    "--ignore-signal=CHLD",
)  # it is inherited, and nobody can wait for a child then (wait(2))


class Start:
    """Starts services for one test: `start("workers = 2")` returns when the service is ready.

    Each has a folder of its own, which is its working directory. `bind` is written into the configuration before
    `toml`, `log_file` tells where the service was told to log, `under` is a command that runs it. `files` are written
    into the folder before.
    """

    def __init__(self, folder: Path, command: Sequence[str] = COMMAND) -> None:
        self.folder = folder
        self.files: dict[str, str] = {}
        self._command = command
        self._services: list[Hello] = []

    def __call__(
        self,
        toml: str = "",
        *flags: str,
        bind: Sequence[str] = ANY_PORT,
        log_file: str = "output",
        environ: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
        passing: Sequence[int] = (),
    ) -> Hello:
        """Start it, and wait until it is ready."""
        hello = self.launch(toml, *flags, bind=bind, log_file=log_file, environ=environ, under=under, passing=passing)
        hello.wait_until_ready()
        return hello

    def launch(
        self,
        toml: str = "",
        *flags: str,
        bind: Sequence[str] = ANY_PORT,
        log_file: str = "output",
        environ: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
        passing: Sequence[int] = (),
    ) -> Hello:
        """Start it, and wait for nothing."""
        hello = self._place(log_file)
        hello.rewrite(toml, bind)
        hello.launch((*under, *self._command, *flags), environment(environ), passing)
        return hello

    def daemon(
        self,
        toml: str = "",
        *,
        bind: Sequence[str] = ANY_PORT,
        under: Sequence[str] = (),
        passing: Sequence[int] = (),
    ) -> Hello:
        """Start it as a daemon, with a pid file and a log file; return when the command has."""
        hello = self._place("hello.log")
        hello.rewrite(f'pid_file = "hello.pid"\nlog = "hello.log"\n{toml}', bind)
        ended = run(hello, "--daemon", under=under, command=self._command, passing=passing)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        hello.watch_daemon()
        hello.wait_until_ready()
        return hello

    def refused(
        self,
        toml: str = "",
        *flags: str,
        bind: Sequence[str] = ANY_PORT,
        environ: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
        passing: Sequence[int] = (),
    ) -> tuple[int, str]:
        """Run a command that can't start to its end; return its exit status and the error, which is its last line."""
        hello = self._place("output")
        hello.rewrite(toml, bind)
        ended = run(hello, *flags, environ=environ, under=under, command=self._command, passing=passing)
        assert "Traceback" not in ended.stderr, ended.stderr
        *before, error = ended.stderr.splitlines()
        assert not any(line.startswith("prefork") for line in before), f"more than one line of error: {ended.stderr}"
        return ended.returncode, error

    def end(self) -> list[str]:
        """End all services, show their logs, and return what is wrong with how they ended."""
        problems = [problem for hello in self._services for problem in end(hello)]
        problems += [problem for hello in self._services for problem in left_over(hello)]
        for hello in self._services:
            print(hello.folder, hello.log, sep="\n")  # noqa: T201 - pytest shows it where the test failed
            hello.kill()
        return problems

    def _place(self, log_file: str) -> Hello:
        folder = self.folder / f"service-{len(self._services) + 1}"
        folder.mkdir()
        folder.chmod(0o777)  # somebody else may be to run it
        for name, text in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        hello = Hello(folder, log_file)
        self._services.append(hello)
        return hello


def run(
    hello: Hello,
    *flags: str,
    environ: Mapping[str, str] | None = None,
    under: Sequence[str] = (),
    command: Sequence[str] = COMMAND,
    passing: Sequence[int] = (),
) -> Completed:
    """Run the command in its folder until it returns."""
    return subprocess.run(
        (*under, *command, *flags),
        cwd=hello.folder,
        env=environment(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        pass_fds=passing,
    )


def environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """Return the test's environment without what would configure the service; all would share one control socket."""
    inherited = {name: value for name, value in os.environ.items() if not NOT_INHERITED(name)}
    return {**inherited, "PREFORK_CONTROL": "off", **(more or {})}


def end(hello: Hello) -> Iterator[str]:
    """Stop a service, and yield what is wrong with that."""
    hello.leave()
    if hello.master_pid and hello.expected_to_run:
        yield from lasting(hello.leaks)
        try:
            status = hello.stop() if hello.is_running else hello.wait_for_exit()
        except AssertionError:
            yield "TERM didn't end it"
        else:
            if status != 0:
                yield f"exit status {status} after TERM"


def left_over(hello: Hello) -> Iterator[str]:
    """Yield what is left of a service that has ended."""
    yield from lasting(lambda: [f"process {pid} is left over: {proc.title(pid)}" for pid in hello.session_pids()])
    yield from (f"somebody still listens on {each}" for each in hello.listens())
    if "Traceback" in hello.log:
        yield TRACEBACK


def lasting(problems: Callable[[], list[str]]) -> list[str]:
    """Return the problems that time doesn't solve."""
    seen: list[str] = []

    def are_over() -> bool:
        seen[:] = problems()
        return not seen

    with suppress(AssertionError):
        until(are_over, "the end of all problems")
    return seen
