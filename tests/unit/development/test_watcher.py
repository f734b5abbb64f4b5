"""What the watcher takes for a change: real files, in a folder that it watches."""

from pathlib import Path

import pytest

from prefork.development.watcher import changes


def test_python_and_named_files_are_changes_and_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pkg", ".venv", "__pycache__"):
        (tmp_path / name).mkdir()
    seen = changes(["."], ["shop.env"])
    assert next(seen) == ""
    for name in ("notes.txt", "other.env", ".venv/a.py", "__pycache__/a.py", "a.pyc"):
        (tmp_path / name).write_text("x")
    (tmp_path / "pkg" / "a.py").write_text("x")
    assert next(seen) == "pkg/a.py"
    (tmp_path / "shop.env").write_text("x")
    assert next(seen) == "shop.env"
