"""Describes a service to a person: the text of `prefork status`. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from prefork.ipc.control import LastReload, Refused, Service, Worker
from prefork.wording import counted, waiting_for_restart

HEADINGS: Final = (
    "slot", "pid", "generation", "phase", "age", "connections", "opening", "requests", "failures", "deadline",
)  # fmt: skip


def overview(service: Service) -> str:
    """Return some lines about the service, one for each worker, and one for each reason why something was refused."""
    rows = [HEADINGS, *map(_cells, service.workers)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join([
        f"{service.name} {service.version}, pid {service.pid}, {service.state}, up {_age(service.uptime)}",
        f"generation {service.generation}, {counted(service.wanted, 'worker')} wanted, last reload {_last(service.last_reload)}",
        f"listening at {', '.join(service.listeners) or 'no address'}",
        *(f"mold {each.pid} of generation {each.generation}, {each.state}, up {_age(each.age)}" for each in service.molds),
        *filter(None, [waiting_for_restart(service.at_restart), service.failure]),
        *(_occupied(each) for each in service.workers if each.silent or each.busy),
        "",
        *("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows),
        *_refused(service.refused),
    ])  # fmt: skip


def _occupied(worker: Worker) -> str:
    if not worker.silent:
        return f"worker {worker.slot} has been busy with {worker.request} for {worker.busy:.0f} s"
    doing = f", busy with {worker.request}" if worker.request else ""
    return f"worker {worker.slot} has been silent for {worker.silent:.0f} s{doing}"


def _last(reload: LastReload | None) -> str:
    if reload is None:
        return "none"
    reason = f": {reload.reason}" if reload.reason else ""
    return f"(generation {reload.generation}) {reload.result}{reason}"


def _cells(worker: Worker) -> tuple[str, ...]:
    return (
        str(worker.slot),
        "-" if worker.pid is None else str(worker.pid),
        str(worker.generation),
        worker.phase,
        "-" if worker.age is None else _age(worker.age),
        str(worker.connections),
        str(worker.opening),
        str(worker.requests),
        str(worker.failures),
        "-" if worker.deadline is None else f"{worker.deadline:.1f}s",
    )


def _refused(refused: Sequence[Refused]) -> Iterator[str]:
    """Yield a line for each reason why something was refused, the most frequent first."""
    if refused:
        yield ""
        yield "refused  status  reason"
    for each in sorted(refused, key=lambda each: -each.count):
        yield f"{each.count:7}  {each.status or '-':>6}  {each.reason}"


def _age(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
