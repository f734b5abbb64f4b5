"""The files of a start are tried, and there is nothing more of them afterwards than before."""

import os
import select
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from prefork.config.schema import Config
from prefork.master.errors import StartError
from prefork.master.pidfile import PidFile
from prefork.run.paths import check_paths

KEYS = ("log", "access_log", "pid_file", "control")


def configured(key: str, path: object) -> Config:
    return Config(**{key: str(path)})  # type: ignore[arg-type]  # each of these is text


@pytest.mark.parametrize("key", KEYS)
def test_what_can_be_made_is_fine_and_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.chdir(tmp_path)
    check_paths(configured(key, tmp_path / "new"))
    check_paths(configured(key, "new"))
    assert list(tmp_path.iterdir()) == []


def test_a_filesystem_without_nameless_files_is_not_tried() -> None:
    check_paths(Config(log="/proc/new"))


def test_a_file_that_can_not_be_written_is_73(tmp_path: Path) -> None:
    program = tmp_path / "sleep"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as running:
        try:
            with pytest.raises(StartError, match="can't be opened or made: Text file busy") as error:
                check_paths(Config(log=str(program)))
        finally:
            running.kill()
    assert error.value.status == 73


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("none/new", "No such file or directory"),
        ("file/new", "Not a directory"),
        (".", "Is a directory"),
    ],
)
def test_what_can_not_be_made_is_73(tmp_path: Path, key: str, path: str, problem: str) -> None:
    (tmp_path / "file").write_text("as it was")
    with pytest.raises(StartError, match=f"^{key} {tmp_path / path}: can't be opened or made: {problem}") as error:
        check_paths(configured(key, tmp_path / path))
    assert error.value.status == 73


@pytest.mark.parametrize("key", ["log", "access_log", "pid_file"])
def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path, key: str) -> None:
    path = tmp_path / "file"
    path.write_text("as it was")
    check_paths(configured(key, path))
    assert path.read_text() == "as it was"


def test_the_files_of_a_service_that_runs_are_fine(tmp_path: Path) -> None:
    pid_file = PidFile(str(tmp_path / "pid"))
    pid_file.acquire()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        listener.settimeout(0)
        check_paths(Config(pid_file=str(tmp_path / "pid"), control=str(tmp_path / "socket")))
        with pytest.raises(BlockingIOError):
            listener.accept()
    pid_file.release()


def test_the_reader_of_a_pipe_notices_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    noticed = select.poll()
    noticed.register(reader)
    check_paths(Config(log=str(tmp_path / "pipe")))
    assert noticed.poll(0) == []
    os.close(reader)


def test_words_are_no_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_paths(Config())
    check_paths(Config(log="journald", access_log="-", control="off"))
    (tmp_path / "auto").mkdir()
    with pytest.raises(StartError, match=r"^log auto: "):
        check_paths(Config(log="auto"))
