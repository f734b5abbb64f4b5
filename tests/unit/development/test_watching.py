"""Whether files can be watched; that they are is seen in tests/process/test_running.py."""

import os
from pathlib import Path

import pytest

from prefork.config.schema import Config
from prefork.development.watching import check_watching
from prefork.master.errors import StartError


def test_folders_that_are_there_can_be_watched(tmp_path: Path) -> None:
    check_watching(Config(reload=True, reload_dir=(str(tmp_path),)))
    check_watching(Config(reload=True, chdir=str(tmp_path)))


@pytest.mark.parametrize("config", [Config(reload=True, chdir="/none"), Config(reload=True, reload_dir=("/", "/none"))])
def test_a_folder_that_is_not_there_is_told(config: Config) -> None:
    with pytest.raises(StartError, match="/none: no such folder") as error:
        check_watching(config)
    assert error.value.status == os.EX_NOINPUT


def test_nothing_is_checked_that_is_not_wanted() -> None:
    check_watching(Config(chdir="/none"))
