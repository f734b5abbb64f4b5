"""Plays systemd's part in socket activation: a command that runs another with sockets from descriptor 3 on.

    python activating.py web=10 admin=11 -- COMMAND...

passes its descriptors 10 and 11 by these names. As a module, it makes that command line.
"""

import os
import socket
import sys
from collections.abc import Mapping

FIRST = 3
HIGH = 200  # above all that are passed


def activation(sockets: Mapping[str, socket.socket]) -> tuple[str, ...]:
    """Return the command under which a service is passed these, which have to be inherited."""
    named = [f"{name}={each.fileno()}" for name, each in sockets.items()]
    return (sys.executable, __file__, *named, "--")


def main(words: list[str]) -> None:
    end = words.index("--")
    named = [word.rpartition("=") for word in words[:end]]
    for place, (_, _, number) in enumerate(named):
        os.dup2(int(number), HIGH + place)
    for place in range(len(named)):
        os.dup2(HIGH + place, FIRST + place)
    os.closerange(FIRST + len(named), HIGH + len(named))
    os.environ.update(
        LISTEN_PID=str(os.getpid()),
        LISTEN_FDS=str(len(named)),
        LISTEN_FDNAMES=":".join(name for name, _, _ in named),
    )
    os.execv(words[end + 1], words[end + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
