"""All clients at once, against all addresses of a server."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tests.loss.client import Client
from tests.loss.held import Toll
from tests.loss.kinds import IDLE, KINDS
from tests.loss.tally import Tally
from tests.loss.wire import Address


class Load:
    """So many clients of each kind for each address, but `idle` ones of that kind, and what becomes of them all.

    `doomed` are the connections that were held by killed workers, `queued` is how many more were in the queues of
    these, `unsure` how many requests the server may have counted more or fewer than the clients.
    """

    def __init__(self, addresses: Iterable[Address], clients: int, idle: int) -> None:
        self.running = True
        self.stopping = False
        self.doomed: set[str] = set()
        self.queued = self.unsure = 0
        self.tally = Tally()
        self._clients = [
            Client(kind, address, self, self.tally)
            for address in addresses
            for kind in KINDS
            for _ in range(idle if kind is IDLE else clients)
        ]

    def doom(self, toll: Toll) -> None:
        """Expect no more of connections that a killed worker held. Their servers may have logged a round of requests
        that isn't answered, or have answered one that isn't logged."""
        self.doomed |= toll.names
        self.queued += toll.queued
        asking = {each.name: each.round for each in self._clients}
        self.unsure += sum(asking.get(name, 1) for name in toll.names)
        self.unsure += toll.queued * max(asking.values())

    @property
    def complete(self) -> bool:
        """Whether each client has been answered once."""
        return all(each.answered for each in self._clients)

    async def run(self) -> None:
        """Run all clients to their ends."""
        await asyncio.gather(*(each.run() for each in self._clients))


@asynccontextmanager
async def load(addresses: Iterable[Address], clients: int, idle: int) -> AsyncIterator[Load]:
    """Keep clients busy until the block ends, and let them finish what they have begun."""
    busy = Load(addresses, clients, idle)
    task = asyncio.create_task(busy.run())
    try:
        yield busy
    finally:
        busy.running = False
        await task
