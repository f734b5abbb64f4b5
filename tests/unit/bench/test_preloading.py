"""The report on memory that is shared."""

from tests.bench.experiments import Broken, Memory, Plan, Reading, idle_place
from tests.bench.preloading import WAYS, report

PLAN = Plan(servers=(), cases=(), rounds=2, seconds=5, cpus=(0, 1), server_cpu=0, client_cpu=1)


def test_each_way_has_a_row_of_medians_or_says_that_it_broke() -> None:
    place = idle_place(PLAN)
    alone, molded = WAYS[:2]
    read: list[Reading[Memory]] = [
        Reading(place, alone, Memory(220_000_000, 225_000_000, 1000)),
        Reading(place, molded, Memory(90_000_000, 91_000_000, 1000)),
        Reading(place, alone, Memory(221_000_000, 226_000_000, 2000)),
        Reading(place, molded, Broken("only 3 of 4 workers were met")),
    ]
    *_, head, _line, first, second, note = report(PLAN, read)
    assert head.startswith("| PSS of all processes, 4 workers, MB | started | ")
    assert first == "| prefork | 220.5 | 225.5 | 1,500 |"
    assert second == "| prefork --preload mold | broken | broken | broken |"
    assert note.endswith("only 3 of 4 workers were met")
