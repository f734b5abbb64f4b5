"""Tells whether a service serves, for those who would replace it or send its clients elsewhere. No I/O, no clock.

One worker that is ready and beats is enough. A service that ends is not well though it may accept for a while yet:
clients had better go elsewhere.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from prefork.ipc.control import FAILED, Answer
from prefork.master.fleet import Fleet, Phase
from prefork.master.outcomes import stopping
from prefork.wording import counted

QUIET: Final = 60.0  # seconds that a worker may be quiet where no hang_timeout says so


def health(fleet: Fleet, ages: Mapping[int, float], hang_timeout: float) -> Answer:
    """Return the answer; `ages` are those of the heartbeats in seconds, by the keys of their places."""
    if fleet.stopping:
        return stopping(fleet)
    ready = [each for each in fleet.places.values() if each.phase is Phase.READY]
    beating = [each for each in ready if ages.get(each.key, QUIET) < (hang_timeout or QUIET)]
    if beating:
        return Answer(f"{len(beating)} of {counted(fleet.wanted.workers, 'worker')} ready")
    if ready:
        return Answer(f"no worker answers: {len(ready)} ready, but quiet for longer than hang_timeout", FAILED)
    phases = Counter(each.phase.value for each in fleet.places.values())
    return Answer(
        f"no worker is ready: {', '.join(f'{count} {phase}' for phase, count in phases.items()) or 'none'}", FAILED
    )
