"""The one fixture of the process tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.starting import Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command as often as the test wants; at the end, fail if anything is left over of it."""
    services = Start(tmp_path)
    yield services
    problems = services.end()
    assert not problems, problems
