"""What several places say alike."""

import pytest

from prefork.wording import counted, plural, waiting_for_restart


@pytest.mark.parametrize(("count", "said"), [(0, "workers"), (1, "worker"), (2, "workers")])
def test_a_noun_stands_in_the_plural_unless_there_is_one(count: int, said: str) -> None:
    assert plural("worker", count) == said


def test_a_large_number_is_told_with_commas() -> None:
    assert counted(1204, "connection") == "1,204 connections"


@pytest.mark.parametrize(
    ("keys", "said"),
    [((), ""), (("user",), "only a restart changes user"), (("user", "name"), "only a restart changes user, name")],
)
def test_keys_that_wait_for_a_restart_are_named(keys: tuple[str, ...], said: str) -> None:
    assert waiting_for_restart(keys) == said
