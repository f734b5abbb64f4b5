"""A copy of the package in a folder of its own, whose files the tests replace as an installation does."""

import shutil
from pathlib import Path
from textwrap import indent
from typing import Final

import prefork
from prefork.version import VERSION

NEXT: Final = "99.0"

# Put at the end of a module, this keeps whoever imports it until there is a file `go` in the service's folder.
HELD: Final = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.005)\n"

# Put at the end of the module `roles`, this holds each worker before it gets ready.
HELD_BOOT: Final = f"""
prompt_worker = Worker
def Worker(*args, **named):
{indent(HELD, "    ")}
    return prompt_worker(*args, **named)
"""


class Installation:
    """A copy of the package, which a command uses that has `environ`."""

    def __init__(self, folder: Path) -> None:
        self._package = folder / "lib" / "prefork"
        self.environ = {"PYTHONPATH": str(self._package.parent)}
        self.replace(VERSION)

    def replace(self, version: str = NEXT, **more: str) -> None:
        """Install another version; `more` is code that is put at the end of modules, such as `worker_worker`."""
        fresh = self._package.with_name("fresh")
        # With its bytecode, which spares each process to compile it, but for what is being written.
        shutil.copytree(Path(prefork.__file__).parent, fresh, ignore=shutil.ignore_patterns("*.pyc.*"))
        (fresh / "version.py").write_text(f'VERSION = "{version}"\n')
        for name, code in more.items():
            module = fresh / f"{name.replace('_', '/')}.py"
            module.write_text(module.read_text() + code)  # of one that there is
        if self._package.exists():
            self._package.rename(self._package.with_name("old"))
        fresh.rename(self._package)
        shutil.rmtree(self._package.with_name("old"), ignore_errors=True)
