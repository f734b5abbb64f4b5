"""Says as Markdown what the experiments read. Pure: readings in, lines out.

A figure is the median of the rounds. A ratio in the comparison is the median of the rounds' own ratios, since the two
servers of one round were measured within seconds of each other. A cell in which any round broke says so, and a note
gives the reason.
"""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Final

from tests.bench.experiments import (
    DOUBLE_TEAM,
    TEAM,
    Broken,
    F,
    Idle,
    Loaded,
    Place,
    Plan,
    Reading,
    Started,
    idle_place,
    scaling_places,
    startup_places,
)
from tests.bench.load import Case

BROKEN: Final = "broken"
ALLOWED: Final = "requests a second, had each worker a core (÷ one)"
RATIO_NOTE: Final = "A ratio is the median of the ratios of the rounds, not the ratio of the medians."
CORE_NOTE: Final = (
    "Where less than the whole core was used, the limit was wrk, the number of connections or another program."
)
PSS_NOTE: Final = "PSS shares out a page among all processes that map it, those of other Python programs running too."


def cpu(figures: Sequence[Loaded], yardstick: Sequence[Loaded]) -> str:
    """Return CPU time in µs a request, and its ratio to the yardstick's if there is one."""
    ratios = [own.cpu_us / its.cpu_us for own, its in zip(figures, yardstick, strict=False)]
    return middle(figures, lambda it: it.cpu_us, "{:.2f}") + (f" ({median(ratios):.2f})" if ratios else "")


def rate(figures: Sequence[Loaded], yardstick: Sequence[Loaded]) -> str:
    """Return requests a second, and how much of its core the server used for them."""
    used = middle(figures, lambda it: 100 * it.cores, " ({:.0f} %)")
    return middle(figures, lambda it: it.requests_per_second) + used


def memory(figures: Sequence[Loaded], yardstick: Sequence[Loaded]) -> str:
    """Return the PSS in MB."""
    return middle(figures, lambda it: it.pss_bytes / 1e6, "{:.1f}")


COMPARED: Final[Sequence[tuple[str, Callable[[Sequence[Loaded], Sequence[Loaded]], str]]]] = (
    ("CPU µs a request (÷ {yardstick})", cpu),
    ("requests a second (core used)", rate),
    ("PSS after the load, MB", memory),
)


def comparison(plan: Plan, readings: Sequence[Reading[Loaded]]) -> list[str]:
    """Return a table for each figure: a row for each case, a column for each server."""
    names = [server.name for server in plan.servers]

    def row(case: Case, cell: Callable[[Sequence[Loaded], Sequence[Loaded]], str]) -> list[str]:
        figures = [of(readings, case, name) for name in names]
        yardstick = of(readings, case, plan.yardstick)
        return [case.title, *(cell(its, yardstick) if its else BROKEN for its in figures)]

    tables = [
        table([title.format(yardstick=plan.yardstick), *names], [row(case, cell) for case in plan.cases])
        for title, cell in COMPARED
    ]
    where = f"One worker on CPU {plan.server_cpu}, wrk on CPU {plan.client_cpu}; {medians(plan)}."
    return [
        where,
        RATIO_NOTE,
        CORE_NOTE,
        PSS_NOTE,
        "",
        *(line for lines in tables for line in (*lines, "")),
        *notes(readings),
    ]


def startup(plan: Plan, readings: Sequence[Reading[Started]]) -> list[str]:
    """Return a row for each server: time to the first answer, memory, memory of one worker more."""
    few, many = startup_places(plan)

    def row(name: str) -> list[str]:
        small, large = of(readings, few, name), of(readings, many, name)
        if not small or not large:
            return [name, *[BROKEN] * 3]
        further = (median(it.pss_bytes for it in large) - median(it.pss_bytes for it in small)) / (DOUBLE_TEAM - TEAM)
        return [
            name,
            middle(small, lambda it: 1e3 * it.first_answer_seconds),
            middle(small, lambda it: it.pss_bytes / 1e6, "{:.1f}"),
            f"{further / 1e6:.1f}",
        ]

    head = [few.title, "command to first answer, ms", "PSS of all processes, MB", "PSS of one worker more, MB"]
    rows = [row(server.name) for server in plan.servers]
    return [
        f"On CPUs {few.server_cpus}; median of {plan.rounds} starts.",
        PSS_NOTE,
        "",
        *table(head, rows),
        *notes(readings),
    ]


def idle(plan: Plan, readings: Sequence[Reading[Idle]]) -> list[str]:
    """Return a row for each server: the share of one core that it used without work."""
    place = idle_place(plan)

    def row(name: str) -> list[str]:
        figures = of(readings, place, name)
        return [name, middle(figures, lambda it: 100 * it.cores, "{:.3f}") if figures else BROKEN]

    rows = [row(server.name) for server in plan.servers]
    return [*table([f"{place.title}, idle for {plan.seconds} s", "% of a core"], rows), *notes(readings)]


def scaling(plan: Plan, readings: Sequence[Reading[Loaded]]) -> list[str]:
    """Return a row for each server and place: where server and wrk ran, and what two workers do beside one."""
    places = scaling_places(plan)

    def row(name: str, place: Place) -> list[str]:
        where = [name, str(place.workers), place.server_cpus, place.client_cpus]
        one, figures = of(readings, places[0], name), of(readings, place, name)
        if not one or not figures:
            return [*where, *[BROKEN] * 3]
        rates = [median(it.requests_per_second for it in its) for its in (figures, one)]
        costs = [median(it.cpu_us for it in its) for its in (figures, one)]
        return [*where, beside(*rates), f"{costs[0]:.2f}", beside(place.workers * 1e6 / costs[0], 1e6 / costs[1])]

    head = ["", "workers", "their CPUs", "wrk's CPUs", "requests a second (÷ one)", "CPU µs a request", ALLOWED]
    rows = [row(server.name, place) for server in plan.servers for place in places]
    return [f"{shared_or_not(places[-1])}; {medians(plan)}.", "", *table(head, rows), *notes(readings)]


def beside(value: float, one: float) -> str:
    """Return a figure, and how many times that of one worker it is."""
    return f"{value:,.0f} ({value / one:.2f})"


def shared_or_not(place: Place) -> str:
    """Say plainly whether the load generator took time from the workers."""
    if place.server_cpus == place.client_cpus:
        return "Two workers share their cores with wrk, so that their requests a second are what it leaves them"
    return f"wrk ran on CPU {place.client_cpus}, beside the workers' own"


def medians(plan: Plan) -> str:
    """Say what a figure is."""
    return (
        f"median of {plan.rounds} rounds of {plan.seconds} s" if plan.rounds > 1 else f"one round of {plan.seconds} s"
    )


def of(readings: Iterable[Reading[F]], row: Case | Place, name: str) -> list[F]:
    """Return the figures of a cell in the order of the rounds; none when one of them is broken."""
    outcomes = [reading.outcome for reading in readings if reading.row == row and reading.server.name == name]
    figures = [outcome for outcome in outcomes if not isinstance(outcome, Broken)]
    return figures if len(figures) == len(outcomes) else []


def middle(figures: Iterable[F], figure: Callable[[F], float], form: str = "{:,.0f}") -> str:
    """Return the median of one figure as `form` writes it."""
    return form.format(median(map(figure, figures)))


def notes(readings: Iterable[Reading[F]]) -> list[str]:
    """Return a line for each reason of a server, with the rows that it broke; of a cell the first reason counts."""
    reasons: dict[tuple[str, str], str] = {}
    for reading in readings:
        if isinstance(reading.outcome, Broken):
            reasons.setdefault((reading.server.name, reading.row.title), reading.outcome.reason)
    rows: dict[tuple[str, str], list[str]] = {}
    for (server, row), reason in reasons.items():
        rows.setdefault((server, reason), []).append(row)
    return [f"- {server} ({', '.join(broken)}): {reason}" for (server, reason), broken in rows.items()]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table whose first column is text and the others figures."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
