"""Makes a process a place for the application: its folder, those of its modules, its variables, what it prints."""

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from io import TextIOWrapper
from typing import Final

from prefork.apps.interface import LoadError
from prefork.version import VERSION

CLOCK_MARGIN: Final = 2.0  # seconds
NO_FOLDER: Final = os.EX_NOINPUT


def prepare(chdir: str | None, pythonpath: Sequence[str], variables: Mapping[str, str]) -> None:
    """Make this process a place for the application: its folder, the folders of its modules, its variables.

    Raises:
        LoadError: 66 for a folder that isn't there, or an archive of modules.
    """
    for name, text in variables.items():
        os.environ.setdefault(name, text)
    # Without it web.py believes that it is being developed, and shows its tracebacks to everybody.
    os.environ.setdefault("SERVER_SOFTWARE", f"prefork/{VERSION}")
    tell_lines_at_once()
    try:
        os.chdir(chdir or ".")
        folder = os.getcwd()
    except OSError as error:
        raise LoadError(NO_FOLDER, f"chdir: {chdir or 'the current folder'}: {str(error.strerror).lower()}") from None
    for each in pythonpath:
        if not os.path.exists(each):
            where = "" if os.path.isabs(each) else f" in {folder}"
            raise LoadError(NO_FOLDER, f"pythonpath: {each}: no such file or directory{where}")
    folders = tuple(dict.fromkeys((folder, *map(os.path.abspath, pythonpath))))
    sys.path[:0] = folders
    # The master may have looked there before a file came; importlib.invalidate_caches would import more.
    for each in folders:
        sys.path_importer_cache.pop(each, None)


def tell_lines_at_once() -> None:
    """Have what is printed written by lines.

    In a pipe or a file it would wait for more, and end with its process; with PYTHONUNBUFFERED it would come in pieces,
    between those of other workers.
    """
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=False)


def drop_young_bytecode(known: Collection[str], since: float) -> None:
    """Remove the compiled code of modules other than the `known` whose files are about as young as the moment `since`.

    Python takes compiled code for that of a file by its size and the second of its change (PEP 3147): of a file that is
    changed again in the same second, the next worker would run what it was before.
    """
    for name, module in list(sys.modules.items()):
        spec = None if name in known else getattr(module, "__spec__", None)
        if isinstance(spec, ModuleSpec) and spec.cached and spec.origin:
            with suppress(OSError):  # there is none, or it isn't ours to remove
                if os.stat(spec.origin).st_mtime > since - CLOCK_MARGIN:
                    os.unlink(spec.cached)
