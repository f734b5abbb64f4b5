"""Modules for the tests, in a folder of their own that is the current one."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the current folder, which is searched for modules; what is imported from there is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before, variables = set(sys.modules), dict(os.environ)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    os.environ.clear()
    os.environ.update(variables)
