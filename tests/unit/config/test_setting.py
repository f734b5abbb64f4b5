"""A setting is judged, and the blame goes where it was given."""

import pytest

from prefork.config.errors import ConfigError
from prefork.config.keys import KEYS
from prefork.config.setting import Setting


def test_a_good_setting_has_the_value_that_config_holds() -> None:
    assert Setting(KEYS["limit_body"], "1k", "a.toml:1").value() == 1024


def test_a_bad_setting_is_blamed_on_its_place() -> None:
    with pytest.raises(ConfigError) as blame:
        Setting(KEYS["backlog"], 0, "a.toml:1", label="backlog", status=64).value()
    assert str(blame.value) == "a.toml:1: backlog: expected a whole number from 1 to 65535, got 0"
    assert blame.value.status == 64
