"""Tells what came of a command, from what became of the fleet. No I/O, no clock.

Who has asked waits until there is an outcome. There is one roll at a time: who asks for a reload during another waits
for the next one, since the present one may have read the configuration too early. There is one wanted number of
workers, the last that was asked for.
"""

import os
from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from prefork.ipc.control import FAILED, Answer, Reload, Request, Stop, Upgrade, Workers
from prefork.master.errors import UnservableError
from prefork.master.fleet import GIVEN_UP, Action, Ending, Finish, Fleet, Reloaded, ReloadFailed, Respawn, Wanted
from prefork.master.supervisor import settled
from prefork.version import VERSION
from prefork.wording import counted, waiting_for_restart


class UpgradeFailed(Struct, frozen=True):
    """Report that the program stays what it is. Nothing was decided about the fleet."""

    kept: int
    reason: str


News: TypeAlias = Action | UpgradeFailed


class Waiting(Struct, frozen=True):
    """Somebody who has asked. Reloads of a generation above `since` concern him, None of this program."""

    request: Request
    since: int | None


def waiting(request: Request, fleet: Fleet) -> Waiting:
    """Return what is to be waited for, before it begins. The number of workers is no longer relative."""
    if isinstance(request, Workers) and request.relative:
        request = Workers(request.count + fleet.wanted.workers)
    return Waiting(request, None if isinstance(request, Upgrade) else fleet.wanted.generation)


def resumed(one: Waiting, generation: int) -> Waiting:
    """Return what is to be waited for in the program that was upgraded to: its first reload decides."""
    return one if one.since is not None else Waiting(one.request, generation)


def outcome(one: Waiting, fleet: Fleet, news: Sequence[News]) -> Answer | None:
    """Return what came of what somebody asked for, or None while that is open; `news` are the latest."""
    found = (_by_news(one, fleet, each) for each in news)
    answer = next((each for each in found if each is not None), None)
    if answer is None and fleet.stopping and not isinstance(one.request, Stop):
        return stopping(fleet)
    if answer is None and isinstance(one.request, Workers) and settled(fleet):
        return _settled(one.request.count, fleet.wanted.workers)
    return answer


def _by_news(one: Waiting, fleet: Fleet, news: News) -> Answer | None:
    match one.request, news:
        case Reload() | Upgrade(), Reloaded(generation) if _concerns(one, generation):
            return Answer(f"{_done(one.request)}: {_serving(generation, fleet.wanted)}")
        case Reload() | Upgrade(), ReloadFailed(generation, kept, reason) if _concerns(one, generation):
            return failed(one.request, kept, reason)
        case Upgrade(), UpgradeFailed(kept, reason) if one.since is None:
            return failed(one.request, kept, reason)
        case Workers(), Respawn(slot, reason, delay) if delay:
            # It failed again after it was replaced once; it is tried on, but nobody knows for how long.
            return Answer(f"the worker in slot {slot} fails: {reason}; it is tried again and again", FAILED)
        case Stop(), Finish():
            return Answer("stopped")
        case _:
            return None


def _concerns(one: Waiting, generation: int) -> bool:
    return one.since is not None and generation > one.since


def _done(request: Reload | Upgrade) -> str:
    return f"upgraded to {VERSION}" if isinstance(request, Upgrade) else "reloaded"


def failed(request: Reload | Upgrade, kept: int, reason: str) -> Answer:
    """Return the answer that the service goes on as generation `kept`."""
    return Answer(f"{type(request).__name__.lower()} failed, generation {kept} goes on: {reason}", FAILED)


def stopping(fleet: Fleet) -> Answer:
    """Return the answer that a service which ends has for all who want it to live."""
    end = f"the service gave up: {fleet.reason}" if fleet.ending in GIVEN_UP else "the service is stopping"
    return Answer(end, FAILED)


def start_error(fleet: Fleet) -> UnservableError | None:
    """Return how the program fails when its fleet was given up at start."""
    if fleet.ending is Ending.UNLOADABLE:
        return UnservableError(fleet.status, fleet.reason)
    if fleet.ending is Ending.CRASH_LOOP:
        return UnservableError(os.EX_SOFTWARE, f"gave up: {fleet.failures} workers in a row failed: {fleet.reason}")
    return None


def _settled(asked: int, wanted: int) -> Answer:
    if asked == wanted:
        return Answer(f"{counted(wanted, 'worker')} ready")
    return Answer(f"{counted(wanted, 'worker')} ready, not {asked}: something else was asked for since", FAILED)


def _serving(generation: int, wanted: Wanted) -> str:
    words = f"generation {generation}, {counted(wanted.workers, 'worker')} ready"
    return "; ".join(filter(None, (words, waiting_for_restart(wanted.at_restart))))
