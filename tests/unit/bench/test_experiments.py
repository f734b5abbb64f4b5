"""Two workers get cores of their own where the machine has them, and wrk gets the rest."""

import pytest

from tests.bench.experiments import Place, Plan, scaling_places


@pytest.mark.parametrize(
    ("cpus", "places"),
    [
        ([0, 1], [Place(1, "0", "1"), Place(2, "0,1", "0,1")]),
        ([0, 1, 2], [Place(1, "0", "2"), Place(2, "0,1", "2")]),
        ([0, 1, 2, 3], [Place(1, "0", "2,3"), Place(2, "0,1", "2,3")]),
    ],
)
def test_wrk_shares_the_workers_cores_only_where_there_are_no_others(cpus: list[int], places: list[Place]) -> None:
    plan = Plan(servers=[], cases=[], rounds=1, seconds=1, cpus=cpus, server_cpu=cpus[0], client_cpu=cpus[-1])
    assert scaling_places(plan) == places
