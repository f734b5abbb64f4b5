"""Makes files with a mode and a group from the first moment.

chmod(2) and chown(2) come too late, and follow a symbolic or hard link that who may write to the folder can put in the
place of the file meanwhile.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from prefork.master.errors import StartError


@contextmanager
def owning(mode: int, group: int | None) -> Iterator[None]:
    """Let what is made have this mode and group, None for that of this process; another takes root, who stays it.

    A folder with the setgid bit gives its own group (inode(7)).

    Raises:
        StartError: 77 where this process may have no other group.
    """
    umask, ours = os.umask(0o777 & ~mode), os.getegid()
    try:
        if group is not None and group != ours:  # a service manager may refuse even what changes nothing
            _take(group)
        yield
    finally:
        if os.getegid() != ours:
            os.setegid(ours)
        os.umask(umask)


def _take(group: int) -> None:
    try:
        os.setegid(group)
    except PermissionError as error:
        problem = f"group {group}, of the workers: can't be given a unix socket: {error.strerror}"
        raise StartError(os.EX_NOPERM, f"{problem}; the system must allow setgid") from error
