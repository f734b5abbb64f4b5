"""Gives up the privileges that a worker was forked with, for good."""

import os


def become(uid: int, gid: int, name: str) -> None:
    """Become the user `name`, with the group `gid` and the user's supplementary groups.

    Does nothing where the process is that user already: a service manager that has set the user up may refuse every
    change of it, to itself too. The user goes last, as only root may change the groups (setuid(2), credentials(7)).
    The kernel clears PR_SET_PDEATHSIG on the way (prctl(2)), so ask for that afterwards.

    Raises:
        PermissionError: The system refused.
        RuntimeError: Root's privileges could be regained.
    """
    if (os.geteuid(), os.getegid()) == (uid, gid):
        return
    os.initgroups(name, gid)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if uid != 0 and _can_regain_root():
        raise RuntimeError(f"still able to become root after becoming {name}")


def _can_regain_root() -> bool:
    try:
        os.seteuid(0)
    except PermissionError:
        return False
    return True
