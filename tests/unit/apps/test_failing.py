"""What a client is told of a failure."""

from pathlib import Path

import pytest

from prefork.apps.failing import FAILED, explained, unexplained
from prefork.apps.loading import import_module
from tests.unit.apps.modules import folder

__all__ = ["folder"]


def test_a_client_is_told_nothing_of_what_was_raised() -> None:
    assert unexplained(KeyError("secret")) is FAILED
    assert b"secret" not in FAILED.body


def test_its_author_is_told_what_was_raised_and_where(folder: Path) -> None:
    (folder / "shop.py").write_text("def sell():\n    raise KeyError('caf\u00e9')\n")
    sell = import_module("shop", "shop").sell
    with pytest.raises(KeyError) as caught:
        sell()
    head, *lines = explained(caught.value).body.decode().splitlines()
    assert head == "The application failed: KeyError: 'caf\u00e9' (shop.py:2)"
    assert f'  File "{folder}/shop.py", line 2, in sell' in lines
    assert "    raise KeyError('caf\u00e9')" in lines


def test_what_is_no_unicode_is_told_all_the_same() -> None:
    assert rb"ValueError: \udcff" in explained(ValueError("\udcff")).body
