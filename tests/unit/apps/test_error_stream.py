"""What applications write into wsgi.errors."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from prefork.apps.error_stream import ErrorStream
from prefork.logs.log import Log

Stderr = pytest.CaptureFixture[str]


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> ErrorStream:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    return ErrorStream(Log("worker-0", "info"))


def logged(capfd: Stderr) -> list[str]:
    return [line.partition("wsgi.errors line=")[2] for line in capfd.readouterr().err.splitlines()]


def test_each_line_is_one_of_the_log(errors: ErrorStream, capfd: Stderr) -> None:
    assert errors.write("one\ntwo") == 7
    assert logged(capfd) == ["one"]
    errors.write(" and more\n\n")
    assert logged(capfd) == ['"two and more"', '""']


def test_lines_can_be_written_together_and_flushed(errors: ErrorStream, capfd: Stderr) -> None:
    errors.writelines(["one\n", "two"])
    errors.flush()
    errors.flush()
    assert logged(capfd) == ["one", "two"]


def test_nobody_forges_a_line(errors: ErrorStream, capfd: Stderr) -> None:
    errors.write("a\r2026 error\x1b[2J\n")
    assert logged(capfd) == [r'"a\r2026 error\x1b[2J"']


def test_threads_do_not_finish_the_lines_of_others(errors: ErrorStream, capfd: Stderr) -> None:
    with ThreadPoolExecutor(1) as other:
        errors.write("mine")
        other.submit(errors.write, "other's").result()
        errors.write(" whole\n")
        other.submit(errors.flush).result()
    assert logged(capfd) == ['"mine whole"', "other's"]
