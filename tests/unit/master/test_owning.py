"""Files that have their mode and group from the first moment."""

import os
import stat
from pathlib import Path

import pytest

from prefork.master.errors import StartError
from prefork.master.owning import owning

OTHER = 65534  # a user, and a group that root has not


def made(path: Path) -> tuple[int, int]:
    path.touch(mode=0o666)
    return made_of(path)


def made_of(path: Path) -> tuple[int, int]:
    return stat.S_IMODE(path.stat().st_mode), path.stat().st_gid


def fail_after_making(path: Path) -> None:
    with owning(0o660, OTHER):
        path.touch(mode=0o666)
        (path.parent / "nothing").unlink()


def test_without_a_group_a_file_is_of_that_of_the_process(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        with owning(0o640, None):
            assert made(tmp_path / "inside") == (0o640, os.getegid())
        assert made(tmp_path / "after") == (0o644, os.getegid())
    finally:
        os.umask(umask)


def test_the_group_that_the_process_has_takes_no_right(tmp_path: Path) -> None:
    with owning(0o600, os.getegid()):
        assert made(tmp_path / "inside") == (0o600, os.getegid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can choose any group")
def test_a_file_is_of_another_group_which_the_process_has_not_afterwards_whatever_fails(tmp_path: Path) -> None:
    ours, umask = os.getegid(), os.umask(0o022)
    try:
        with pytest.raises(FileNotFoundError):
            fail_after_making(tmp_path / "inside")
        assert made_of(tmp_path / "inside") == (0o660, OTHER)
        assert (os.getegid(), os.umask(0o022)) == (ours, 0o022)
    finally:
        os.umask(umask)


def test_who_may_not_choose_the_group_is_told_and_keeps_the_umask() -> None:
    umask, user = os.umask(0o022), os.geteuid()
    try:
        os.seteuid(user or OTHER)
        with pytest.raises(StartError, match="group 65534, of the workers: can't"), owning(0o660, OTHER):
            pass
        assert os.umask(0o022) == 0o022
    finally:
        os.seteuid(user)
        os.umask(umask)
