"""A machine with a systemd of its own, booted in namespaces by the script `sandbox`, as the tests use it.

What is run there sees what a root shell sees; the environment with prefork is in /opt/prefork, the tests are in
/opt/tests, and config and systemd of the repository in /opt/source.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.process.waiting import LIMIT, until

HERE: Final = Path(__file__).parent
SANDBOX: Final = str(HERE / "sandbox")
REPOSITORY: Final = HERE.parents[1]
BIN: Final = "/opt/prefork/bin"
UNIT: Final = "prefork-hello.service"
SKIPPED: Final = 77  # exit status
BOOT_SECONDS: Final = 60


class Ended(NamedTuple):
    """How a command ended, and what it printed on both streams."""

    status: int
    output: str


class CannotBootError(Exception):
    """This computer can't boot the machine; the message is why."""


class Machine:
    """A machine that runs; `state` is the file by which it is entered."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def start(self, script: str, **options: Any) -> subprocess.Popen[str]:  # Any: what Popen takes
        """Begin a script of bash and wait for nothing; its output, with errors, is a pipe."""
        environ = ["--env", "PYTHONPATH=/opt/tests", "--env", "PYTHONDONTWRITEBYTECODE=1"]
        command = [SANDBOX, "--enter", str(self._state), *environ, "--", "bash", "-euo", "pipefail", "-c", script]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, text=True, **{**streams, **options})

    def ask(self, script: str) -> Ended:
        """Run a script to its end."""
        with self.start(script) as process:
            output, _ = process.communicate(timeout=4 * LIMIT)
        return Ended(process.returncode, output)

    def run(self, script: str) -> str:
        """Run a script that has to succeed, and return what it printed."""
        status, output = self.ask(script)
        assert status == 0, f"{script}: exit status {status}\n{output}"
        return output

    def property(self, name: str, unit: str = UNIT) -> str:
        """Return a property of a unit, as `systemctl show` tells it."""
        return self.run(f"systemctl show --property {name} --value {unit}").strip()

    def main_pid(self, unit: str = UNIT) -> int:
        return int(self.property("MainPID", unit))

    def wait_until_active(self, unit: str = UNIT) -> None:
        """Wait until the service has told systemd that it is ready; its first workers serve a moment before."""
        until(lambda: self.property("ActiveState", unit) == "active", f"{unit} to be active")

    def serves_anew(self, before: int, unit: str = UNIT) -> bool:
        """Tell whether the unit is ready with another main process than that before."""
        return self.property("ActiveState", unit) == "active" and self.main_pid(unit) not in {0, before}

    def status(self, unit: str = UNIT) -> str:
        """Return what `systemctl status` shows a person."""
        return self.ask(f"systemctl status --no-pager --full {unit}").output

    def journal(self, unit: str = UNIT, *matches: str) -> list[Mapping[str, Any]]:
        """Return the entries of a unit."""
        return [json.loads(line) for line in self._journalctl(unit, "json", *matches).splitlines()]

    def log(self, unit: str = UNIT) -> str:
        """Return the messages of a unit, a line each, those of systemd about it among them."""
        return self._journalctl(unit, "cat")

    def _journalctl(self, unit: str, output: str, *matches: str) -> str:
        return self.run(f"journalctl --sync; journalctl --unit {unit} --no-pager --output {output} {' '.join(matches)}")

    def wait_for_log(self, text: str, unit: str = UNIT) -> None:
        until(lambda: text in self.log(unit), f"{text!r} in the journal")

    def wait_for_status(self, text: str, unit: str = UNIT) -> None:
        """Wait for what a person is to see; the journal may be a moment behind."""
        until(lambda: text in self.status(unit), f"{text!r} in the status")

    def write(self, path: str, text: str) -> None:
        with self.start(f"mkdir -p $(dirname {path}); cat >{path}", stdin=subprocess.PIPE) as process:
            process.communicate(text)
        assert process.returncode == 0

    def install(self, toml: str, options: str = "") -> None:
        """Install the hello with this configuration."""
        self.write("/root/hello.toml", toml)
        self.run(f"{BIN}/prefork service install --config hello.toml {options}")

    def get(self, port: int = 8080) -> str:
        """Return the body of an answer."""
        return self.run(f"curl -sS --fail --max-time 10 http://127.0.0.1:{port}/")

    @contextmanager
    def load(self, *addresses: str) -> Iterator[Counter[str]]:
        """Keep clients of every kind busy until the block ends; names of tests.loss.tally.Outcome are counted then."""
        counted = Counter[str]()
        with self.start(
            f"exec {BIN}/python -m tests.systemd.load {' '.join(addresses) or 8080}", stdin=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first == "complete\n", first + process.stdout.read()
            yield counted
            output, _ = process.communicate(timeout=4 * LIMIT)
        found = json.loads(output)
        print(*found["notes"], sep="\n")  # noqa: T201 - pytest shows it where a test fails
        counted.update(found["counts"])

    def workers(self, name: str = "hello") -> list[int]:
        """Return the pids of the workers that are ready."""
        answer = json.loads(self.run(f"{BIN}/prefork status --json --name {name}"))
        return [worker["pid"] for worker in answer["workers"] if worker["phase"] == "ready"]


def check() -> None:
    """Raise CannotBootError where no machine can be booted."""
    ended = subprocess.run(
        [SANDBOX, "--", "true"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    _check(ended.returncode, ended.stderr)


def _check(status: int, error: str) -> None:
    if status == SKIPPED:
        raise CannotBootError(error.strip().rpartition("\n")[2])
    assert status == 0, error


@contextmanager
def booted(environment: Path, folder: Path, options: Sequence[str] = ()) -> Iterator[Machine]:
    """Boot a machine, and stop it when the block ends.

    Raises:
        CannotBootError: where that isn't possible.
    """
    state = folder / "machine"
    folders = {"tests": "/opt/tests/tests", "config": "/opt/source/config", "systemd": "/opt/source/systemd"}
    binds = [word for name, place in folders.items() for word in ("--bind", f"{REPOSITORY}/{name}:{place}")]
    places = [*binds, *options]
    if not any(option.endswith(":/opt/prefork") for option in options):
        places += ["--bind", f"{environment}:/opt/prefork"]
    command = [SANDBOX, *places, "--limit", "600", "--state", str(state), "--", "cat"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: state.exists() or process.poll() is not None, "the machine to boot", BOOT_SECONDS)
        if not state.exists():
            _, error = process.communicate()
            _check(process.returncode, error)
        yield Machine(state)
        process.communicate()  # its standard input ends, and so does `cat`
