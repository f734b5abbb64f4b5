"""What a worker does before it serves, and the check that does the same in a child."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from prefork.apps.hello import find_hello
from prefork.apps.interface import Application, LoadError, Source, ThisWorker
from prefork.config.schema import Config
from prefork.ipc.channel import LARGEST_MESSAGE, Failed, channel_pair
from prefork.logs.log import STDERR, Log
from prefork.master.errors import StartError
from prefork.run.boot import boot, check, stacks_when_late
from tests.unit.children import in_child

WORKER = ThisWorker(0, 1, os.getpid(), Log("worker-0", "info"))


def load(source: Source) -> Application:
    return source.load(WORKER)


def refusing(status: int, problem: str, *traceback: str) -> Failed:
    """Return what the master is told when this is raised."""

    def find(_config: Config, _variables: Mapping[str, str]) -> Source:
        raise LoadError(status, problem, traceback)

    ours, theirs = channel_pair()
    with pytest.raises(SystemExit) as end:
        boot(Config(), find, load, identity=None, channel=theirs)
    received = ours.receive()
    ours.close()
    theirs.close()
    assert end.value.code == status
    assert received is not None
    assert isinstance(received[0], Failed)
    return received[0]


def test_what_keeps_an_application_from_being_served_is_told_to_the_master() -> None:
    assert refusing(65, "wsgi:app: no", "a", "b") == Failed("wsgi:app: no", 65, ("a", "b"))


def test_of_a_long_traceback_the_end_is_told() -> None:
    lines = [f"{number} {'ä' * 1000}" for number in range(1000)]
    told = refusing(65, "x" * 10**6, *lines)
    assert told.traceback[0] == "…"
    assert [each.split()[0] for each in told.traceback[1:]] == [str(n) for n in range(1001 - len(told.traceback), 1000)]
    assert len(told.traceback) > 2
    assert len("".join((told.reason, *told.traceback)).encode()) < LARGEST_MESSAGE


def test_what_utf_8_can_not_carry_is_told_all_the_same() -> None:
    assert refusing(65, "\udcff", "\udcfe") == Failed("\\udcff", 65, ("\\udcfe",))


def test_a_mistake_in_the_file_of_variables_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A")
    ours, theirs = channel_pair()
    with pytest.raises(SystemExit) as end:
        boot(Config(env_file=str(tmp_path / "env")), find_hello, load, identity=None, channel=theirs)
    assert end.value.code == 78
    assert ours.receive() == (Failed(f"{tmp_path}/env:1: expected KEY=VALUE", 78), [])
    ours.close()
    theirs.close()


def test_a_signal_that_the_application_takes_for_itself_stays_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        seen: list[int] = []
        with stacks_when_late(STDERR, 3600):
            signal.signal(signal.SIGALRM, lambda number, _frame: seen.append(number))
        signal.raise_signal(signal.SIGALRM)
        assert seen == [signal.SIGALRM]

    in_child(act)
    assert capfd.readouterr().err == ""


def test_a_signal_that_the_application_has_taken_already_stays_its_own_too(capfd: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        seen: list[int] = []
        signal.signal(signal.SIGALRM, lambda number, _frame: seen.append(number))
        with stacks_when_late(STDERR, 3600):
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
            signal.raise_signal(signal.SIGALRM)
        assert seen == [signal.SIGALRM]

    in_child(act)
    assert capfd.readouterr().err == ""


def test_what_takes_too_long_is_told_where_it_is_and_goes_on() -> None:
    def act() -> None:
        reader, writer = os.pipe()
        with stacks_when_late(writer, 0.01):
            assert b"Current thread" in os.read(reader, 65536)  # waits until it is told

    in_child(act)


def test_what_is_in_time_is_not_interrupted_later() -> None:
    def act() -> None:
        with stacks_when_late(STDERR, 3600):
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

    in_child(act)


def test_a_check_of_what_can_not_be_loaded_says_what_a_start_would(capfd: pytest.CaptureFixture[str]) -> None:
    def find(_config: Config, _variables: Mapping[str, str]) -> Source:
        raise LoadError(66, "wsgi:app: no", ("one", "another"))

    with pytest.raises(StartError) as error:
        check(Config(), find)
    assert (error.value.status, error.value.problem) == (66, "wsgi:app: no")
    assert [line.partition("traceback ")[2] for line in capfd.readouterr().err.splitlines()] == [
        "line=one",
        "line=another",
    ]


def test_a_check_of_what_can_be_loaded_finds_nothing() -> None:
    check(Config(), find_hello)


@pytest.mark.parametrize(
    ("code", "status", "problem"),
    [
        ("os._exit(3)", 65, "the application can't be loaded: exit status 3"),
        ("os.kill(os.getpid(), 9)", 65, "the application can't be loaded: killed by SIGKILL"),
        ("os.fork() or time.sleep(1)", 65, "the application can't be loaded: exit status 4"),  # its channel outlives it
    ],
)
def test_a_check_whose_child_ends_otherwise_says_how(code: str, status: int, problem: str) -> None:
    assert failed_check(code, 60) == (status, problem)


def test_a_check_that_hangs_ends_at_boot_timeout() -> None:
    assert failed_check("time.sleep(3600)", 0.5) == (65, "the application was not loaded within boot_timeout")


def failed_check(code: str, boot_timeout: float) -> tuple[int, str]:
    """Return the status and the problem where loading the application is this code."""

    def find(_config: Config, _variables: Mapping[str, str]) -> Source:
        exec(f"import os, time\n{code}")
        os._exit(4)

    with pytest.raises(StartError) as error:
        check(Config(boot_timeout=boot_timeout), find)
    return error.value.status, error.value.problem
