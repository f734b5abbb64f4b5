"""What is left over of clients that have gone, and of a service that has ended."""

import os
import socket
from collections.abc import Callable
from signal import SIGTERM
from typing import Final

from msgspec import Struct

from tests.loss.service import Service
from tests.process import proc, tcp
from tests.process.tcp import State

LIMIT: Final = 15.0  # seconds


class Descriptors(Struct, frozen=True):
    """How many the master has that aren't listening sockets, and how many at most a worker that the master hasn't."""

    master: int
    worker: int


def descriptors(service: Service) -> Descriptors:
    """Count the descriptors of a service."""
    masters = proc.descriptors(service.master)
    kept = set(masters.values())
    more = [sum(each not in kept for each in proc.descriptors(pid).values()) for pid in service.workers]
    listening = tcp.listening(service.master)
    return Descriptors(sum(each not in listening for each in masters.values()), max(more, default=0))


async def of_load(service: Service, before: Descriptors) -> list[str]:
    """Return what the service still holds of connections, with as many workers as before."""

    def found() -> list[str]:
        now = descriptors(service)
        wrong = [f"{now}, before {before}"] if now.master != before.master or now.worker > before.worker else []
        return wrong + [f"{each} is in CLOSE_WAIT" for each in tcp.sockets_of(service.port, State.CLOSE_WAIT)]

    return await lasting(service, found)


async def of_service(service: Service) -> list[str]:
    """Have it end, and return what is left of it."""
    session = service.master
    service.signal(SIGTERM)
    await service.ended()
    status = service.exit_status
    wrong = [f"exit status {status}"] if status else []

    def found() -> list[str]:
        left = [f"{each.pid} {proc.title(each.pid)}" for each in proc.processes() if each.session == session]
        return left + [f"somebody listens on {each}" for each in service.addresses if accepts(each)]

    return wrong + await lasting(service, found)


async def lasting(service: Service, problems: Callable[[], list[str]]) -> list[str]:
    """Return the problems that time doesn't solve."""
    try:
        await service.until(lambda: not problems(), "the end of all problems", LIMIT)
    except TimeoutError:
        return problems()
    return []


def accepts(address: str | tuple[str, int]) -> bool:
    """Tell whether somebody listens there."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as probe:
        return probe.connect_ex(address) == 0 or (isinstance(address, str) and os.path.exists(address))
