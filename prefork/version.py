"""The version, as pyproject.toml has it: importlib.metadata would take 10 ms of every start to find it."""

from typing import Final

VERSION: Final = "0.1.0"
