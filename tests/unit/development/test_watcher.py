"""What the watcher takes for a change: real files, in a folder that it watches."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from prefork.development.watcher import changes
from tests.unit.children import environment


def test_python_and_named_files_are_changes_and_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pkg", ".venv", "__pycache__"):
        (tmp_path / name).mkdir()
    seen = changes(["."], ["shop.env"])
    assert next(seen) == ""
    for name in ("notes.txt", "other.env", ".venv/a.py", "__pycache__/a.py", "a.pyc"):
        (tmp_path / name).write_text("x")
    (tmp_path / "pkg" / "a.py").touch()  # one event, where to write it would be two, which may be told one by one
    assert next(seen) == "pkg/a.py"
    (tmp_path / "shop.env").touch()
    assert next(seen) == "shop.env"


def test_each_line_is_written_at_once_though_python_is_told_to_buffer_nothing(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "prefork.development.watcher", str(tmp_path), "--")
    environ = environment(PYTHONUNBUFFERED="1")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # what is written at once is a message
    ours.settimeout(20)
    out = theirs.fileno()
    with ours, theirs, subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=out, env=environ):
        assert ours.recv(100) == b"\n"
        (tmp_path / "shop.py").write_text("x")
        assert ours.recv(100) == b"shop.py\n"
