"""Becoming somebody else, in processes of their own."""

import os
import pwd
from collections.abc import Callable

import pytest

from prefork.worker.privileges import become

NOBODY = pwd.getpwnam("nobody")

takes_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


def seen_in_child(act: Callable[[], object]) -> str:
    """Fork, act in the child, and return what it made, or the exception that it raised."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            seen = repr(act())
        except (OSError, RuntimeError) as error:
            seen = type(error).__name__
        os.write(writer, seen.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as told:
        return told.read()


@takes_root
def test_all_of_user_group_and_supplementary_groups_change() -> None:
    def act() -> object:
        become(NOBODY.pw_uid, NOBODY.pw_gid, NOBODY.pw_name)
        return os.getresuid(), os.getresgid(), sorted(os.getgroups())

    uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
    groups = sorted(os.getgrouplist(NOBODY.pw_name, gid))
    assert seen_in_child(act) == repr(((uid,) * 3, (gid,) * 3, groups))


@takes_root
def test_root_can_not_be_regained() -> None:
    def act() -> object:
        become(NOBODY.pw_uid, NOBODY.pw_gid, NOBODY.pw_name)
        os.setuid(0)
        return os.getresuid()

    assert seen_in_child(act) == "PermissionError"


@takes_root
def test_who_is_not_root_is_refused() -> None:
    def act() -> object:
        become(NOBODY.pw_uid, NOBODY.pw_gid, NOBODY.pw_name)
        become(0, 0, "root")
        return os.getresuid()

    assert seen_in_child(act) == "PermissionError"


@takes_root
def test_a_way_back_to_root_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def act() -> object:
        become(NOBODY.pw_uid, NOBODY.pw_gid, NOBODY.pw_name)
        return os.getresuid()

    # Only the effective ids change, as they would for a process that keeps CAP_SETUID.
    monkeypatch.setattr(os, "setresuid", lambda _real, effective, _saved: os.seteuid(effective))
    assert seen_in_child(act) == "RuntimeError"


def test_who_is_the_user_already_needs_no_privilege() -> None:
    def act() -> object:
        if os.geteuid() == 0:
            become(NOBODY.pw_uid, NOBODY.pw_gid, NOBODY.pw_name)
        become(os.geteuid(), os.getegid(), "whoever")
        return "still here"

    assert seen_in_child(act) == "'still here'"
