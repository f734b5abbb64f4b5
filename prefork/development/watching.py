"""Has the files of the application watched for `reload`, by a program of its own, and reloads when one changes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import Final

from prefork.config.schema import Config
from prefork.logs.log import Log
from prefork.master.errors import StartError
from prefork.master.poller import Poller

OUTPUT_BYTES: Final = 65536
LONGEST_END: Final = 5.0  # seconds


def check_watching(config: Config) -> None:
    """Raise StartError where changes can't be watched for, though they are to be."""
    if not config.reload:
        return
    if find_spec("watchfiles") is None:
        raise StartError(os.EX_CONFIG, "reload: the package watchfiles is needed; pip install 'prefork[reload]'")
    for folder in _folders(config):
        if not os.path.isdir(folder):
            raise StartError(os.EX_NOINPUT, f"reload_dir: {folder}: no such folder")


@contextmanager
def watching(config: Config, path: str | None) -> "Iterator[Watching | None]":
    """Have the files watched, and the configuration's at `path`, for as long as this lasts, if they are to be.

    Raises:
        StartError: 71 when the system refuses.
    """
    if not config.reload:
        yield None
        return
    with closing(Watching(config, path)) as one:
        yield one


class Watching:
    """The watcher, a child of the master; it ends by itself when the master's end of its input is closed.

    `noticed` tells of a change that has come since it was set to False.
    """

    def __init__(self, config: Config, path: str | None) -> None:
        """Start it, as whoever we are: none of the application's code runs in it.

        Raises:
            StartError: 71 when the system refuses.
        """
        # -P, and not the folder that we are in, which is the application's: it may have modules of any name.
        package = os.path.abspath(f"{__file__}/../../..")
        paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        files = filter(None, (path, config.env_file))
        self._folders = _folders(config)
        self.noticed = False
        try:
            self._process = subprocess.Popen(  # noqa: S603 - no shell; the paths are the user's own
                [sys.executable, "-P", "-m", "prefork.development.watcher", *self._folders, "--", *files],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": paths},
                process_group=0,  # Ctrl-C is for the master
            )
        except OSError as error:
            raise StartError(os.EX_OSERR, f"reload: the watcher can't be started: {error.strerror}") from None

    def begin(self, poller: Poller, reload: Callable[[], None], log: Log) -> None:
        """Call `reload` at each change from now on."""
        output = self._output

        def on_output() -> None:
            lines = os.read(output, OUTPUT_BYTES).decode(errors="replace").splitlines()
            if not lines:
                poller.forget(output)
                log.error("the watcher has ended; changes are no longer noticed")
                return
            if lines[0] == "":
                log.info("watching", folders=",".join(self._folders))
            if lines[-1]:
                log.info("changed", path=lines[-1])
                self.noticed = True
                reload()

        poller.watch(output, on_output)

    def close(self) -> None:
        """End it, which takes it as long as it may need to begin."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(LONGEST_END)
        except subprocess.TimeoutExpired:  # a busy machine; it has nothing to lose
            self._process.kill()
            self._process.wait()

    @property
    def _output(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()


def _folders(config: Config) -> tuple[str, ...]:
    return config.reload_dir or (config.chdir or ".",)
