"""What an application finds where it is imported."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefork.apps.interface import LoadError
from prefork.apps.loading import load
from prefork.apps.preparing import drop_young_bytecode, prepare
from tests.unit.apps.modules import folder

__all__ = ["folder"]

SHOP = """
def app(environ, start_response):
    return [b"app"]
"""


def test_a_printed_line_is_written_at_once_and_whole() -> None:
    prints = "import sys; print('a', 1); print('b', 2, file=sys.stderr)"
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, its:
        subprocess.run(
            [
                sys.executable,
                "-u",
                "-c",
                f"from prefork.apps import preparing; preparing.tell_lines_at_once(); {prints}",
            ],
            stdout=its.fileno(),
            stderr=its.fileno(),
            check=True,
        )
        its.shutdown(socket.SHUT_WR)
        assert list(iter(lambda: ours.recv(100), b"")) == [b"a 1\n", b"b 2\n"]


def test_compiled_code_of_a_file_that_has_just_changed_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for name, age in (("young", 0), ("old", 3600)):
        (folder / f"{name}.py").write_text(SHOP)
        os.utime(folder / f"{name}.py", (time.time() - age,) * 2)
        load(f"{name}:app")
    drop_young_bytecode({"known"}, time.time())
    assert [each.name.partition(".")[0] for each in (folder / "__pycache__").iterdir()] == ["old"]


def test_the_application_gets_its_folder_its_modules_and_its_variables(folder: Path) -> None:
    for name in ("srv", "srv/lib", "other"):
        (folder / name).mkdir()
    os.environ["TAKEN"] = "environment"
    before = sys.path[:]
    prepare("srv", ["lib", str(folder / "other")], {"TAKEN": "file", "FREE": "file"})
    assert Path.cwd() == folder / "srv"
    assert sys.path == [*(str(folder / each) for each in ("srv", "srv/lib", "other")), *before]
    assert os.environ["SERVER_SOFTWARE"].startswith("prefork/")
    assert (os.environ["TAKEN"], os.environ["FREE"]) == ("environment", "file")


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(LoadError, match="chdir: nowhere: no such file or directory") as error:
        prepare("nowhere", [], {})
    assert error.value.status == 66


def test_a_folder_of_modules_that_is_not_there_is_told_with_the_one_that_it_was_looked_for_in(folder: Path) -> None:
    (folder / "srv").mkdir()
    for missing, where in ("nowhere", f" in {folder}/srv"), (f"{folder}/nowhere", ""):
        with pytest.raises(LoadError) as error:
            prepare(f"{folder}/srv", [missing], {})
        expected = f"pythonpath: {missing}: no such file or directory{where}"
        assert (error.value.status, error.value.problem) == (66, expected)


def test_a_file_that_came_after_the_folder_was_searched_is_found(folder: Path) -> None:
    with pytest.raises(LoadError):
        load("late:app")
    searched_at = folder.stat().st_mtime_ns
    (folder / "late.py").write_text(SHOP)
    os.utime(folder, ns=(searched_at, searched_at))  # as if it had been in the same tick of the kernel's clock
    prepare(None, [], {})
    assert load("late:app")({}, lambda *_: None) == [b"app"]


def test_what_an_application_puts_in_the_place_of_a_module_has_no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    class Anything:
        def __getattr__(self, _name: str) -> "Anything":
            return self

    monkeypatch.setitem(sys.modules, "anything", Anything())
    drop_young_bytecode(set(sys.modules) - {"anything"}, time.time())
