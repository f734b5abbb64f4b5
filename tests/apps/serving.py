"""Serves an application as its user does: `prefork run` in the folder where the application's files are."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.process.commands import PREFORK
from tests.process.hello import Hello
from tests.process.starting import TRACEBACK, end, environment, left_over

SITES: Final = Path(__file__).parent / "sites"
LARGE: Final = bytes(range(256)) * 4096  # 1 MiB, in the file large.bin of each site
CURL: Final = ("curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "30")


class Serve:
    """Starts services for one test: `serve(copied("flask_shop.py"), "flask_shop:app")` returns when it is ready.

    Each has a folder of its own, which the first argument fills. What frameworks log themselves may look like an error
    of the server's own; a test that has one raise says so by `may_log_tracebacks`.
    """

    def __init__(self, folder: Path) -> None:
        self.may_log_tracebacks = False
        self._folder = folder
        self._services: list[Hello] = []

    def __call__(
        self,
        fill: Callable[[Path], object],
        *words: str,
        program: str = PREFORK,
        environ: Mapping[str, str] | None = None,
    ) -> Hello:
        folder = self._folder / f"site-{len(self._services) + 1}"
        fill(folder)
        (folder / "large.bin").write_bytes(LARGE)
        site = Hello(folder, "output")
        self._services.append(site)
        site.launch((program, "run", "--bind", "127.0.0.1:0", *words), environment(environ))
        site.wait_until_ready()
        return site

    def end(self) -> list[str]:
        """End all services, show their logs, and return what is wrong with how they ended."""
        problems = [problem for site in self._services for problem in end(site)]
        problems += [problem for site in self._services for problem in left_over(site)]
        if self.may_log_tracebacks:
            problems = [problem for problem in problems if problem != TRACEBACK]
        for site in self._services:
            print(site.folder, site.log, sep="\n")  # noqa: T201 - pytest shows it where the test failed
            site.kill()
        return problems


def copied(name: str) -> Callable[[Path], object]:
    """Return what fills a folder with one of SITES."""

    def fill(folder: Path) -> None:
        folder.mkdir()
        shutil.copy(SITES / name, folder)

    return fill


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text in a file of an application."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def curl(site: Hello, path: str, *words: str) -> bytes:
    """Ask with curl, which fails for a status of 400 or more, and return the content."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    url = f"http://127.0.0.1:{site.ports[0]}{path}"
    return subprocess.run([*CURL, *words, url], capture_output=True, check=True).stdout


def manage(folder: Path, *words: str) -> None:
    """Run Django's own command in its project."""
    subprocess.run([sys.executable, "manage.py", *words], cwd=folder, check=True, capture_output=True)
