"""What is done to a server while its clients are busy, as a table; each returns when it is over.

It returns what it may have cost in requests: nothing, but for a worker that is killed.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from signal import SIGHUP, SIGTERM, SIGTTIN, SIGTTOU
from typing import Final

from msgspec import Struct

from tests.loss.load import Load
from tests.loss.service import Service
from tests.loss.tally import TROUBLES, Outcome

Perform = Callable[[Service, Load], Awaitable[int]]


async def reload(service: Service, load: Load) -> int:
    """Replace all workers."""
    end = service.log_size
    service.signal(SIGHUP)
    await service.logged(" reloaded generation=", end)
    return 0


async def reload_peer(service: Service, load: Load) -> int:
    """Replace all workers of a server that does not tell when it is done."""
    before = service.workers
    service.signal(SIGHUP)
    await service.replaced(before)
    return 0


async def resize(service: Service, load: Load) -> int:
    """Have one worker more, and one fewer again."""
    end = service.log_size
    service.signal(SIGTTIN)
    end = await service.logged(" worker ready ", await service.logged(" resizing workers=", end))
    service.signal(SIGTTOU)
    await service.logged(" worker exited ", await service.logged(" resizing workers=", end))
    return 0


async def recycle(service: Service, load: Load) -> int:
    """Wait until the requests of its clients have worn a worker out, and it has been replaced."""
    await service.logged(" worker exited ", await service.logged(" recycling worker ", service.log_size))
    return 0


async def kill(service: Service, load: Load) -> int:
    """Kill a worker, and wait for the one that replaces it."""
    end = service.log_size
    service.kill_worker(random.choice(sorted(service.workers)))
    may_cost = load.waiting
    await service.logged(" worker ready ", await service.logged(" worker exited ", end))
    return may_cost


async def stop(service: Service, load: Load) -> int:
    """End the service."""
    load.stopping = True
    service.signal(SIGTERM)
    await service.ended()
    return 0


class Action(Struct, frozen=True):
    """One row of ACTIONS: `flags` prepare the server for it, `never` is what may not happen; `is_last` ends the server."""

    name: str
    perform: Perform
    flags: Sequence[str] = ()
    never: Sequence[Outcome] = TROUBLES
    is_last: bool = False


# fmt: off
ACTIONS: Final = (
    Action("reload",  reload),
    Action("resize",  resize),
    Action("recycle", recycle, flags=("--max-requests", "500")),
    Action("kill",    kill,    never=(Outcome.REFUSED, Outcome.WRONG)),
    Action("stop",    stop,    never=(Outcome.LOST, Outcome.TRUNCATED, Outcome.WRONG), is_last=True),
)
# fmt: on
RELOAD_OF_A_PEER: Final = Action("reload", reload_peer)
