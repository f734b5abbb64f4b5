"""Users and groups of the machine that runs the tests."""

import grp
import os
import pwd

import pytest

from prefork.master.errors import StartError
from prefork.master.identity import Identity, look_up

ME = pwd.getpwuid(os.getuid())
ROOT_GROUP = grp.getgrgid(0).gr_name


def test_neither_user_nor_group_is_no_identity() -> None:
    assert look_up(None, None) is None


def test_a_user_brings_its_primary_group() -> None:
    assert look_up(ME.pw_name, None) == Identity(ME.pw_uid, ME.pw_gid, ME.pw_name)


def test_numbers_stand_for_names() -> None:
    assert look_up(str(ME.pw_uid), str(ME.pw_gid)) == look_up(ME.pw_name, grp.getgrgid(ME.pw_gid).gr_name)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
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
