import os
from collections.abc import Iterator

import pytest

from prefork.logs.log import STDERR


@pytest.fixture(autouse=True)
def saved_stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    saved = os.dup(STDERR)
    yield
    os.dup2(saved, STDERR)
    os.close(saved)
