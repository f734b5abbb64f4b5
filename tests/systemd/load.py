"""Clients of every kind, inside the machine: `python -m tests.systemd.load ADDRESS...` until its standard input ends.

An address is a port, or the path of a unix socket. It prints a line when each client has been answered once, and at the
end what became of them, as JSON.
"""

import asyncio
import json
import sys

from tests.loss.load import load
from tests.loss.tally import Outcome

CLIENTS = 1  # of each kind
IDLE = 20


async def main(addresses: list[str]) -> None:
    wanted = [each if each.startswith("/") else ("127.0.0.1", int(each)) for each in addresses]
    async with load(wanted, CLIENTS, IDLE) as clients:
        while not clients.complete:  # noqa: ASYNC110 - the clients know of no event
            await asyncio.sleep(0.01)
        print("complete", flush=True)  # noqa: T201 - whoever started this reads it
        await asyncio.to_thread(sys.stdin.read)
    tally = clients.tally
    counts = {outcome.name: tally[outcome] for outcome in Outcome}
    print(json.dumps({"counts": counts, "notes": tally.notes(Outcome)}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
