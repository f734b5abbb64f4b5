"""The one line of a ConfigError."""

import pytest

from prefork.config.errors import ConfigError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigError("a.toml:3", "workers", "too many"), "a.toml:3: workers: too many"),
        (ConfigError("--workers", "", "too many"), "--workers: too many"),
        (
            ConfigError("a.toml:3", "wrokers", "unknown key", 'did you mean "workers"?'),
            'a.toml:3: wrokers: unknown key, did you mean "workers"?',
        ),
        (ConfigError("", "", "missing command", status=64), "missing command"),
    ],
)
def test_an_error_reads_as_one_line_of_what_is_known(error: ConfigError, line: str) -> None:
    assert str(error) == line


def test_an_error_carries_its_parts_by_name() -> None:
    error = ConfigError("a.toml", "key", "problem", "hint", status=66)
    assert (error.place, error.key, error.problem, error.hint, error.status) == ("a.toml", "key", "problem", "hint", 66)


def test_the_configuration_is_to_blame_by_default() -> None:
    assert ConfigError("", "", "problem").status == 78
