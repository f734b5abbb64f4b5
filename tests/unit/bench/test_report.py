"""A table shows medians and ratios, and what broke is named and never a figure."""

from tests.bench.experiments import Broken, Loaded, Plan, Reading
from tests.bench.load import Case
from tests.bench.report import comparison
from tests.bench.servers import Server, Site


def echo(site: Site) -> list[str]:
    return ["echo"]


CASE = Case("64", "64 connections", 64)
OURS, NGINX = Server("ours", echo), Server("nginx", echo)
PLAN = Plan(servers=[OURS, NGINX], cases=[CASE], rounds=3, seconds=2, cpus=[0, 1], server_cpu=0, client_cpu=1)


def loaded(cpu_us: float) -> Loaded:
    return Loaded(cpu_us, requests_per_second=1e6 / cpu_us, cores=1.0, pss_bytes=12_340_000)


def test_a_figure_is_the_median_and_a_ratio_the_median_of_the_rounds_own() -> None:
    rounds = [(6.0, 6.0), (8.0, 10.0), (9.0, 10.0)]
    readings = [
        Reading(CASE, server, loaded(us)) for pair in rounds for server, us in zip((OURS, NGINX), pair, strict=True)
    ]
    lines = comparison(PLAN, readings)
    assert "| 64 connections | 8.00 (0.90) | 10.00 (1.00) |" in lines
    assert "| 64 connections | 125,000 (100 %) | 100,000 (100 %) |" in lines
    assert "| 64 connections | 12.3 | 12.3 |" in lines


def test_one_broken_round_breaks_the_cell_and_the_reason_is_noted_once() -> None:
    broken = [Reading(CASE, OURS, Broken(f"{count} timeout errors")) for count in (64, 63)]
    readings = [*broken, *(Reading(CASE, server, loaded(7.0)) for server in (OURS, NGINX))]
    lines = comparison(PLAN, readings)
    assert "| 64 connections | broken | 7.00 (1.00) |" in lines
    assert lines[-1] == "- ours (64 connections): 64 timeout errors"
