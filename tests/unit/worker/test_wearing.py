"""When a worker has served for long enough."""

from hypothesis import given
from hypothesis import strategies as st

from prefork.worker.wearing import MEMORY_INTERVAL, Wear, Wearing, own_memory

ENDLESS = 10**9


def test_without_a_bound_a_worker_serves_for_ever() -> None:
    assert Wearing(Wear(), 0.0).reason(ENDLESS, float(ENDLESS)) is None


def test_so_many_requests_are_enough() -> None:
    wearing = Wearing(Wear(requests=10, jitter=0), 0.0)
    assert wearing.reason(9, 0.0) is None
    assert wearing.reason(10, 0.0) == "max_requests: 10"


def test_the_lifetime_begins_with_the_worker() -> None:
    wearing = Wearing(Wear(lifetime=60.0, jitter=0), 1000.0)
    assert wearing.reason(0, 1059.9) is None
    assert wearing.reason(0, 1060.0) == "max_lifetime: 60 seconds"


def test_the_memory_is_looked_at_now_and_then() -> None:
    own = own_memory()
    assert own > 0
    wearing = Wearing(Wear(memory=2 * own, jitter=0), 0.0)
    assert wearing.reason(0, 0.0) is None
    ballast = bytearray(b"x") * (2 * own)
    assert wearing.reason(0, MEMORY_INTERVAL - 0.1) is None
    assert str(wearing.reason(0, MEMORY_INTERVAL)).endswith("bytes of its own")
    assert ballast


@given(st.builds(Wear, st.integers(0, 10**6), st.floats(0, 10**6), st.integers(0, 10**12), st.integers(0, 100)))
def test_the_jitter_only_adds_and_at_most_so_many_percent(wear: Wear) -> None:
    jittered = wear.jittered()
    for name in ("requests", "lifetime", "memory"):
        bound, own = getattr(wear, name), getattr(jittered, name)
        assert bound <= own <= bound * (1 + wear.jitter / 100)
