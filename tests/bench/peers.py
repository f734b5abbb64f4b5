"""The Python servers that prefork is measured beside, in a virtual environment of the benchmark's own.

It is made on first use below the user's cache folder, one for each version of Python, and kept: removing it has the
newest versions installed the next time. Nothing here is a dependency of prefork.
"""

import os
import subprocess
import sys
import venv
from importlib.metadata import Distribution
from pathlib import Path
from typing import Final

from tests.bench.errors import MissingError

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prefork-bench"
ENVIRONMENT: Final = CACHE / "python{}.{}".format(*sys.version_info)
PYTHON: Final = str(ENVIRONMENT / "bin/python")
INSTALL_SECONDS: Final = 300


def version(package: str) -> str | None:
    """Return the version installed in the environment, or None."""
    places = [str(place) for place in ENVIRONMENT.glob("lib/python*/site-packages")]
    return next((found.version for found in Distribution.discover(name=package, path=places)), None)


def install(package: str) -> None:
    """Install the package from PyPI, unless it is there already; blocks for up to INSTALL_SECONDS.

    Raises:
        MissingError: when pip could not install it; the message is pip's last line.
    """
    if version(package):
        return
    if not (ENVIRONMENT / "bin/pip").exists():
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
    try:
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"pip did not end within {error.timeout:g} s") from error
    except subprocess.CalledProcessError as error:
        raise MissingError(error.stderr.strip().rpartition("\n")[2] or f"pip ended with {error.returncode}") from error
