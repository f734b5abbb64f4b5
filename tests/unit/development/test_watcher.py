"""What the watcher takes for a change: real files, in a folder that it watches."""

import os
import time
from pathlib import Path

import pytest

from prefork.development.watcher import changes


def test_python_and_named_files_are_changes_and_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pkg", ".venv", "__pycache__"):
        (tmp_path / name).mkdir()
    seen = changes(["."], ["shop.env"], time.time())
    assert next(seen) == ""
    for name in ("notes.txt", "other.env", ".venv/a.py", "__pycache__/a.py", "a.pyc"):
        (tmp_path / name).write_text("x")
    (tmp_path / "pkg" / "a.py").write_text("x")
    assert next(seen) == "pkg/a.py"
    (tmp_path / "shop.env").write_text("x")
    assert next(seen) == "shop.env"


@pytest.mark.parametrize("name", ["pkg/a.py", "shop.env"])
def test_what_has_changed_while_it_started_is_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("pkg", ".venv"):
        (tmp_path / folder).mkdir()
    files = ("pkg/a.py", "pkg/b.py", "notes.txt", ".venv/c.py", "shop.env")
    for each in files:
        (tmp_path / each).write_text("x")
        os.utime(each, (2**32, 2**32))  # of a clock that is wrong
    since = max(os.stat(each).st_ctime for each in files) + 0.001
    for each in ("notes.txt", ".venv/c.py", name):
        while os.stat(each).st_ctime < since:
            os.utime(each, (1000, 1000))  # as who copies a file with its times
    seen = changes(["."], ["shop.env", "not-there"], since)
    assert [next(seen), next(seen)] == ["", name]
    (tmp_path / "pkg" / "b.py").write_text("y")
    assert next(seen) == "pkg/b.py"
