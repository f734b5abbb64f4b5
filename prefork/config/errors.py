"""What a configuration can be blamed for: one exception, which carries the parts of its message by name."""

import os


class ConfigError(Exception):
    """A mistake in what the user configured. `str()` is one line, without the program's name.

    `place` is where it was given: `config/hello.toml:12`, `--workers`, `PREFORK_WORKERS`, or empty. `key` is empty
    where the place names it already. `hint` says what to do instead, or is empty. `status` is the exit status, as in
    sysexits.h.
    """

    def __init__(self, place: str, key: str, problem: str, hint: str = "", status: int = os.EX_CONFIG) -> None:
        super().__init__(place, key, problem, hint, status)
        self.place = place
        self.key = key
        self.problem = problem
        self.hint = hint
        self.status = status

    def __str__(self) -> str:
        sentence = ", ".join(filter(None, (self.problem, self.hint)))
        return ": ".join(filter(None, (self.place, self.key, sentence)))
