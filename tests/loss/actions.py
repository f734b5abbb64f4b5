"""What is done to a server while its clients are busy, as a table; each returns when it is over."""

import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from signal import SIGHUP, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR2, SIGWINCH
from typing import Final

from msgspec import Struct

from tests.loss.load import Load
from tests.loss.service import Service
from tests.loss.tally import TROUBLES, Outcome
from tests.process import proc

Perform = Callable[[Service, Load], Awaitable[None]]


async def reload(service: Service, load: Load) -> None:
    """Replace all workers."""
    end = service.log_size
    service.signal(SIGHUP)
    await service.logged(" reloaded generation=", end)


async def resize(service: Service, load: Load) -> None:
    """Have one worker more, and one fewer again."""
    end = service.log_size
    service.signal(SIGTTIN)
    end = await service.logged(" worker ready ", await service.logged(" resizing workers=", end))
    service.signal(SIGTTOU)
    await service.logged(" worker exited ", await service.logged(" resizing workers=", end))


async def recycle(service: Service, load: Load) -> None:
    """Wait until the requests of its clients have worn a worker out, and it has been replaced."""
    await service.logged(" worker exited ", await service.logged(" recycling worker ", service.log_size))


async def upgrade(service: Service, load: Load) -> None:
    """Replace the program by the one that is installed, which is the same."""
    end = service.log_size
    service.signal(SIGUSR2)
    await service.logged(" upgraded ", end)


async def kill(service: Service, load: Load) -> None:
    """Kill a worker, and wait for the one that replaces it."""
    end = service.log_size
    load.doom(service.kill(random.choice(sorted(service.workers))))
    await service.logged(" worker ready ", await service.logged(" worker exited ", end))


async def stop(service: Service, load: Load) -> None:
    """End the service."""
    load.stopping = True
    service.signal(SIGTERM)
    await service.ended()


# Servers that don't tell when they are done, or not all in the same way: their processes tell


async def reload_peer(service: Service, load: Load) -> None:
    """Replace all workers."""
    before = service.workers
    service.signal(SIGHUP)
    await service.replaced(before)


async def resize_peer(service: Service, load: Load) -> None:
    """Have one worker more, and one fewer again."""
    count = len(service.workers)
    for number, wanted in ((SIGTTIN, count + 1), (SIGTTOU, count)):
        service.signal(number)
        await service.sized(wanted)


async def recycle_peer(service: Service, load: Load) -> None:
    """Wait until the requests of its clients have worn a worker out, and it has been replaced."""
    before = service.workers
    await service.until(lambda: not before <= service.workers, "the end of a worker")
    await service.sized(len(before))


async def upgrade_nginx(service: Service, load: Load) -> None:
    """Have a second master with workers of its own, and the first leave with its (nginx.org, Controlling nginx)."""
    old, count = service.master, len(service.workers)
    service.signal(SIGUSR2)
    await service.until(lambda: service.master != old, "another master")
    await service.sized(count)
    for number in (SIGWINCH, SIGQUIT):
        os.kill(old, number)
    await service.until(lambda: proc.process(old) is None, "the end of the old master")


class Action(Struct, frozen=True):
    """One row of ACTIONS: `flags` prepare the server, `never` is what may not happen; `is_last` ends the server."""

    name: str
    perform: Perform
    flags: Sequence[str] = ()
    never: Sequence[Outcome] = TROUBLES
    is_last: bool = False


WORN_SOON: Final = ("--max-requests", "500")
JITTER: Final = ("--max-requests-jitter", "50")  # as prefork has it by default
# fmt: off
ACTIONS: Final = (
    Action("reload",  reload),
    Action("resize",  resize),
    Action("recycle", recycle, flags=WORN_SOON),
    Action("upgrade", upgrade),
    Action("kill",    kill),
    Action("stop",    stop,    never=(Outcome.LOST, Outcome.TRUNCATED, Outcome.WRONG), is_last=True),
)
OF_PEERS: Final[Mapping[str, Sequence[Action]]] = {
    "nginx":    (Action("reload", reload_peer), Action("upgrade", upgrade_nginx)),
    "gunicorn": (Action("reload", reload_peer), Action("resize", resize_peer), Action("recycle", recycle_peer, (*WORN_SOON, *JITTER))),
}
# fmt: on
