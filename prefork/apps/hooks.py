"""The user's functions that are called in a worker's life, from the module that `hooks` names.

    post_fork(worker)         it is its user, in its folder; the application is not imported yet, unless in a mold
    post_worker_init(worker)  the application is loaded; requests come next
    pre_stop(worker)          it was told to leave; what has begun is still being served
    worker_exit(worker)       it ends

`worker` has slot, generation, pid and log. Those that aren't there are not missed, unless all are, or a function has
nearly the name of one; others are left alone. Before the worker is ready an exception fails its start, later it is only
logged.
"""

import difflib
import os
from types import ModuleType
from typing import Final, Literal, TypeAlias

from prefork.apps.blame import blame
from prefork.apps.interface import LoadError, ThisWorker
from prefork.apps.loading import failure, import_module

Early: TypeAlias = Literal["post_fork", "post_worker_init"]
Late: TypeAlias = Literal["pre_stop", "worker_exit"]

NAMES: Final = ("post_fork", "post_worker_init", "pre_stop", "worker_exit")
ALIKE: Final = 0.87  # of difflib: two letters that have changed places in the shortest name, and not worker_int


class Hooks:
    """The functions; there are none without a module."""

    def __init__(self, module_name: str | None) -> None:
        """Import the module; raises LoadError."""
        self._name = module_name
        module = import_module(f"hooks: {module_name}", module_name) if module_name else None
        self._functions = {name: getattr(module, name, None) for name in NAMES}
        if module is not None:
            _refuse_misspelt(module, [name for name in NAMES if self._functions[name] is None])
        if module_name and not any(self._functions.values()):
            raise LoadError(os.EX_DATAERR, f"hooks: {module_name} has none of {', '.join(NAMES)}")
        for name, function in self._functions.items():
            if function is not None and not callable(function):
                raise LoadError(os.EX_DATAERR, f"{module_name}.{name}: expected a function, got {function!r:.60}")

    def prepare(self, name: Early, worker: ThisWorker) -> None:
        """Call the function of this name, if there is one; raises LoadError for what it raises."""
        function = self._functions[name]
        if function is not None:
            try:
                function(worker)
            except BaseException as error:  # noqa: BLE001 - whatever the hook raises is told as its own
                raise failure(f"{self._name}.{name}", error) from None

    def tell(self, name: Late, worker: ThisWorker) -> None:
        """Call the function of this name, if there is one, and log what it raises."""
        function = self._functions[name]
        if function is not None:
            try:
                function(worker)
            except BaseException as error:  # noqa: BLE001 - the hook's
                blame(worker.log, "hook failed", error, hook=f"{self._name}.{name}")


def _refuse_misspelt(module: ModuleType, missing: list[str]) -> None:
    """Raise LoadError where a function has nearly the name of one that is missing: it would never be called."""
    for name, value in vars(module).items():
        meant = difflib.get_close_matches(name.lower(), missing, cutoff=ALIKE)
        if meant and callable(value) and not name.startswith("_"):
            raise LoadError(os.EX_DATAERR, f"hooks: {module.__name__} has {name}, did you mean {meant[0]}?")
