"""Makes a project of Django by Django's own commands, once for all tests: each of them takes a second."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.apps.serving import SITES, manage

SETTINGS: Final = """
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS += ["notes"]
ROOT_URLCONF = "notes.urls"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"]},
}
"""


def make(folder: Path) -> None:
    """Make the project `shop` with the application `notes` and its database."""
    folder.mkdir()
    start = [sys.executable, "-m", "django", "startproject", "shop", "."]
    subprocess.run(start, cwd=folder, check=True, capture_output=True)
    with (folder / "shop" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    shutil.copytree(SITES / "notes", folder / "notes", ignore=shutil.ignore_patterns("__pycache__"))
    manage(folder, "migrate")


def copy(project: Path) -> Callable[[Path], object]:
    """Return what fills a folder with a copy of the project."""
    return lambda folder: shutil.copytree(project, folder, ignore=shutil.ignore_patterns("__pycache__"))
