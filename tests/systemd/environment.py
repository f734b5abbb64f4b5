"""The virtual environment that the machine sees: of the system's Python, since no service can reach one in a home."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.systemd.machine import BIN, REPOSITORY, CannotBootError, check

PYTHON: Final = "/usr/bin/python3"
OLDEST: Final = (3, 11)
LEFT_OUT: Final = shutil.ignore_patterns(".*", "tests", "build", "*.egg-info", "__pycache__")


def shared(folder: Path) -> Path:
    """Return an environment with prefork, which the first of several processes makes and the others wait for.

    Raises:
        CannotBootError: it can't be made, or would be of no use here.
    """
    check()
    made = folder / "opt-prefork"
    with (folder / "opt-prefork.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            fresh = folder / f"opt-prefork.{os.getpid()}"
            make(fresh)
            fresh.rename(made)
    return made


def make(folder: Path) -> None:
    """Make an environment here that works in /opt/prefork, with Django in it."""
    if not suits():
        raise CannotBootError(f"{PYTHON} is no Python of {'.'.join(map(str, OLDEST))} or later with venv")
    run(PYTHON, "-m", "venv", str(folder))
    with TemporaryDirectory() as copy:  # setuptools leaves its own files where it builds, and takes what it finds there
        shutil.copytree(REPOSITORY, copy, symlinks=True, ignore=LEFT_OUT, dirs_exist_ok=True)
        try:
            run(str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", copy, "django")
        except subprocess.CalledProcessError:
            raise CannotBootError("pip can't install prefork; what it says is above") from None
    for script in (folder / "bin").iterdir():
        if not script.is_symlink() and script.read_bytes().startswith(f"#!{folder}/".encode()):
            script.write_text(script.read_text().replace(f"#!{folder}/bin", f"#!{BIN}", 1))


def suits() -> bool:
    """Tell whether the system's Python can make an environment that prefork runs in."""
    question = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {OLDEST})"
    return os.path.exists(PYTHON) and subprocess.run([PYTHON, "-c", question], check=False).returncode == 0


def run(*command: str) -> None:
    """Run a command without what is set for the Python of the tests."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(command, env=environ, check=True)
