"""Every reason that the code gives is counted by its name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import prefork
from prefork.config.keys import KEYS
from prefork.http.faults import FAULTS
from prefork.http.reasons import GIVEN_UP, KEYS_OF, REASONS, number_of
from prefork.http.waiting import Waiting
from prefork.ipc import scoreboard

SOURCES = Path(prefork.__file__).parent


def given() -> Iterator[tuple[int, str]]:
    """Yield the reasons that are written out where they are given."""
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Name("Rejection"), [ast.Constant(int(status)), ast.Constant(str(reason))]):
                    yield status, reason
                case _:
                    pass
    yield from ((each.status, each.reason) for each in FAULTS)
    yield from ((408, f"waited too long for {each.value}") for each in (Waiting.HEAD, Waiting.BODY))


def test_every_reason_has_a_number_of_its_own() -> None:
    numbers = {reason: number_of(*reason) for reason in given()}
    assert len(numbers) > 30
    assert [reason for reason, number in numbers.items() if REASONS[number] != reason] == []


def test_there_is_room_for_all_of_them_and_for_others_to_come() -> None:
    assert len(REASONS) < scoreboard.REASONS
    assert len(set(REASONS)) == len(REASONS)


def test_the_detail_after_a_colon_is_not_counted_apart() -> None:
    assert REASONS[number_of(GIVEN_UP, "TLS handshake failed: unsupported protocol")] == (
        GIVEN_UP,
        "TLS handshake failed",
    )


def test_an_unknown_reason_is_another_one() -> None:
    assert REASONS[number_of(400, "never heard of")] == (GIVEN_UP, "another reason")


def test_the_keys_that_bound_a_reason_are_those_of_the_configuration() -> None:
    assert KEYS_OF.keys() <= {reason for _, reason in REASONS}
    assert {key for keys in KEYS_OF.values() for key in keys.split(", ")} <= KEYS.keys()
