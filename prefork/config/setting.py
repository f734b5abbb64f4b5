"""One value that somebody gave, before it is known to be good; and the judgement whether it is. Pure."""

import os

from msgspec import Struct

from prefork.config.errors import ConfigError
from prefork.config.keys import Key


class Setting(Struct, frozen=True):
    """`raw` is what TOML would hold, and `place` where it was given.

    `label` is the key's name where the place doesn't say it already; `status` is the exit status if the value is bad.
    """

    key: Key
    raw: object
    place: str
    label: str = ""
    status: int = os.EX_CONFIG

    def value(self) -> object:
        """Return what Config is to hold; raise ConfigError where the key doesn't take it."""
        try:
            return self.key.option.kind.parse(self.raw)
        except ValueError as error:
            raise ConfigError(self.place, self.label, str(error), status=self.status) from None
