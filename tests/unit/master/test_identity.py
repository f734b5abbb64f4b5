"""Users and groups of the machine that runs the tests, and becoming one of them, in processes of their own."""

import grp
import os
import pwd
from collections.abc import Callable

import pytest

from prefork.master.errors import StartError
from prefork.master.identity import Identity, look_up

ME = pwd.getpwuid(os.getuid())
ROOT_GROUP = grp.getgrgid(0).gr_name
_entry = pwd.getpwnam("nobody")
NOBODY = Identity(_entry.pw_uid, _entry.pw_gid, _entry.pw_name)

takes_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


def test_neither_user_nor_group_is_no_identity() -> None:
    assert look_up(None, None) is None


def test_a_user_brings_its_primary_group() -> None:
    assert look_up(ME.pw_name, None) == Identity(ME.pw_uid, ME.pw_gid, ME.pw_name)


def test_numbers_stand_for_names() -> None:
    assert look_up(str(ME.pw_uid), str(ME.pw_gid)) == look_up(ME.pw_name, grp.getgrgid(ME.pw_gid).gr_name)


@takes_root
def test_a_group_alone_leaves_the_user() -> None:
    other = next(group for group in grp.getgrall() if group.gr_gid != ME.pw_gid)
    assert look_up(None, other.gr_name) == Identity(ME.pw_uid, other.gr_gid, ME.pw_name)


@pytest.mark.parametrize(
    ("user", "group", "problem"),
    [
        ("no-such-user", None, "user: there is no user 'no-such-user'; see `getent passwd`"),
        ("99999999999999999999", None, "user: there is no user '99999999999999999999'; see `getent passwd`"),
        (None, "no-such-group", "group: there is no group 'no-such-group'; see `getent group`"),
    ],
)
def test_what_does_not_exist_is_a_mistake_of_the_configuration(user: str, group: str, problem: str) -> None:
    with pytest.raises(StartError) as refusal:
        look_up(user, group)
    assert (refusal.value.status, str(refusal.value)) == (os.EX_CONFIG, problem)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to stop being root")
def test_who_is_not_root_can_name_nobody_else() -> None:
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        with pytest.raises(StartError) as refusal:
            look_up("root", ROOT_GROUP)
    finally:
        os.seteuid(0)
    assert refusal.value.status == os.EX_NOPERM


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
        NOBODY.become()
        return os.getresuid(), os.getresgid(), sorted(os.getgroups())

    uid, gid = NOBODY.uid, NOBODY.gid
    groups = sorted(os.getgrouplist(NOBODY.name, gid))
    assert seen_in_child(act) == repr(((uid,) * 3, (gid,) * 3, groups))


@takes_root
def test_root_can_not_be_regained() -> None:
    def act() -> object:
        NOBODY.become()
        os.setuid(0)
        return os.getresuid()

    assert seen_in_child(act) == "PermissionError"


@takes_root
def test_who_is_not_root_is_refused() -> None:
    def act() -> object:
        NOBODY.become()
        Identity(0, 0, "root").become()
        return os.getresuid()

    assert seen_in_child(act) == "PermissionError"


@takes_root
def test_a_way_back_to_root_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def act() -> object:
        NOBODY.become()
        return os.getresuid()

    # Only the effective ids change, as they would for a process that keeps CAP_SETUID.
    monkeypatch.setattr(os, "setresuid", lambda _real, effective, _saved: os.seteuid(effective))
    assert seen_in_child(act) == "RuntimeError"


def test_who_is_the_user_already_needs_no_privilege() -> None:
    def act() -> object:
        if os.geteuid() == 0:
            NOBODY.become()
        Identity(os.geteuid(), os.getegid(), "whoever").become()
        return "still here"

    assert seen_in_child(act) == "'still here'"
