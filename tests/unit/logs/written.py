"""What a test reads of the log."""

import re
from typing import TypeAlias

import pytest

Stderr: TypeAlias = pytest.CaptureFixture[str]


def after_process(lines: str) -> str:
    """Return lines of the log without what stands before the event."""
    return re.sub(r"^.*?\] ", "", lines, flags=re.MULTILINE)
