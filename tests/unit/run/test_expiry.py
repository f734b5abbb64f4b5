"""When somebody is told that certificates end, and what else is wrong with them."""

from pathlib import Path

import pytest

from prefork.run.expiry import INTERVAL, Certificate, Expiry

DAY = 86400.0
ENDS = 1_800_000_000.0  # 2027-01-15


def certificate(
    folder: Path, *, mode: int = 0o600, names: tuple[str, ...] = ("a.example",), ends: float
) -> Certificate:
    key = folder / "key"
    key.touch()
    key.chmod(mode)
    return Certificate("cert", str(key), names, ends)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (ENDS - 22 * DAY, []),
        (ENDS - 20 * DAY, ["expires on 2027-01-15"]),
        (ENDS - 1, ["expires on 2027-01-15"]),
        (ENDS, ["expired on 2027-01-15"]),
    ],
)
def test_the_end_is_told_three_weeks_before(tmp_path: Path, now: float, said: list[str]) -> None:
    assert list(certificate(tmp_path, ends=ENDS).warnings(now)) == said


def test_a_key_that_all_may_read_and_a_certificate_for_nobody_are_told(tmp_path: Path) -> None:
    first, second = certificate(tmp_path, mode=0o644, names=(), ends=ENDS).warnings(0)
    assert first == f"everybody may read its key, {tmp_path}/key"
    assert second.startswith("has no subjectAltName")
    (tmp_path / "key").unlink()  # of a key that is gone a reload will tell
    assert len(list(Certificate("cert", f"{tmp_path}/key", (), ENDS).warnings(0))) == 1


def test_it_is_told_at_once_and_then_once_a_day(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    expiry = Expiry(lambda path, problem: told.append((path, problem)))
    assert expiry.next_deadline() is None
    expiry.expire(0)
    expiry.watch(1, [certificate(tmp_path, ends=0)])
    due = expiry.next_deadline()
    assert due is not None
    for moment in (due, due + 1, due + INTERVAL - 1):
        expiry.expire(moment)
    assert told == [("cert", "expired on 1970-01-01")]
    assert expiry.next_deadline() == due + INTERVAL
    expiry.expire(due + INTERVAL)
    assert len(told) == 2


def test_those_of_the_newest_generation_are_looked_at_until_it_is_given_up() -> None:
    told: list[str] = []
    expiry = Expiry(lambda path, _problem: told.append(path))
    for generation in (1, 2):
        expiry.watch(generation, [Certificate(f"cert-{generation}", "key", ("a.example",), 0)])
    due = expiry.next_deadline()
    assert due is not None
    expiry.expire(due)
    expiry.keep_only(1)
    expiry.expire(due + INTERVAL)
    assert told == ["cert-2", "cert-1"]
