"""Who the workers are: the configured user and group as numbers, looked up once and before anything is started.

A worker becomes this identity after it was forked, for good; it then needs no access to the user database.
"""

import grp
import os
import pwd

from msgspec import Struct

from prefork.master.errors import StartError


class Identity(Struct, frozen=True):
    """Who the workers are: `name` is what initgroups(3) looks the supplementary groups up by."""

    uid: int
    gid: int
    name: str

    def become(self) -> None:
        """Give up the privileges of this process, and have its supplementary groups.

        Does nothing where the process is that user already: a service manager that has set the user up may refuse every
        change of it, to itself too. The user goes last, as only root may change the groups (setuid(2), credentials(7)).
        The kernel clears PR_SET_PDEATHSIG on the way (prctl(2)), so ask for that afterwards.

        Raises:
            PermissionError: The system refused.
            RuntimeError: Root's privileges could be regained.
        """
        if (os.geteuid(), os.getegid()) == (self.uid, self.gid):
            return
        os.initgroups(self.name, self.gid)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        if self.uid != 0 and _can_regain_root():
            raise RuntimeError(f"still able to become root after becoming {self.name}")


def look_up(user: str | None, group: str | None) -> Identity | None:
    """Return the identity of the workers, or None when they stay who the master is.

    Either may be a name or a number. A user alone brings its primary group; a group alone leaves the user as it is.

    Raises:
        StartError: 78 for a user or group that doesn't exist, 77 where only root could become it.
    """
    if user is None and group is None:
        return None
    account = _account(str(os.getuid()) if user is None else user)
    identity = account if group is None else Identity(account.uid, _gid(group), account.name)
    if os.geteuid() != 0 and (identity.uid, identity.gid) != (os.geteuid(), os.getegid()):
        raise StartError(
            os.EX_NOPERM, "user, group: only root can run workers as somebody else; start as root or leave both out"
        )
    return identity


def _account(user: str) -> Identity:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise StartError(os.EX_CONFIG, f"user: there is no user {user!r}; see `getent passwd`") from None
    return Identity(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _gid(group: str) -> int:
    try:
        entry = grp.getgrgid(int(group)) if group.isdecimal() else grp.getgrnam(group)
    except (KeyError, OverflowError):
        raise StartError(os.EX_CONFIG, f"group: there is no group {group!r}; see `getent group`") from None
    return entry.gr_gid


def _can_regain_root() -> bool:
    try:
        os.seteuid(0)
    except PermissionError:
        return False
    return True
