"""pip installs one version over another while clients of every kind are served, and USR2 has it take over.

The environment is the service's own, and the wheels are made from the present package, with another number.
"""

import asyncio
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from signal import SIGUSR2

import pytest

from prefork.version import VERSION
from tests.bench.servers import Site
from tests.loss import service
from tests.loss.load import load
from tests.loss.service import Service, serving
from tests.loss.tally import TROUBLES, Outcome
from tests.process import proc
from tests.process.wheels import wheel

pytest.importorskip("pip")

NEXT = "99.0"
BROKEN = "99.1"
WORKERS = 2


class Environment:
    """A virtual environment that sees the packages of this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv")
        (place,) = (folder / "venv").glob("lib/python*/site-packages")
        (place / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    def install(self, version: str, **more: str) -> None:
        """Install a version over the one that is there."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.folder / "venv/bin/python"), "--isolated", "install"]
        options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
        subprocess.run([*pip, *options, str(wheel(self.folder, version, **more))], check=True)

    def command(self, site: Site) -> list[str]:
        """Return the command of what is installed."""
        return service.prefork(site, str(self.folder / "venv/bin/prefork-hello"))


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.delenv("PYTHONPATH", raising=False)  # the service is to find what is installed
    made = Environment(tmp_path)
    made.install(VERSION)
    return made


async def told(served: Service, text: str) -> str:
    """Ask for an upgrade, and return the line of the log with this text."""
    end = served.log_size
    served.signal(SIGUSR2)
    await served.logged("\n", await served.logged(text, end))
    (line,) = re.findall(rf"{text}.*", served.log[end:])
    return str(line)


async def upgrade_and_fail(environment: Environment) -> None:
    # Workers are replaced all the time, so some are forked while pip has the package in pieces.
    flags = ["--max-requests", "5000"]
    with serving(environment.command, WORKERS, flags) as served:
        async with load(served.addresses, 1, 10) as clients:
            await served.until(lambda: clients.complete, "an answer to each client")
            await asyncio.to_thread(environment.install, NEXT)
            done = await told(served, "upgraded ")
            assert done.startswith(f"upgraded from={VERSION} to={NEXT} ")
            await asyncio.to_thread(environment.install, BROKEN, cli="import no_such_module\n")
            failed = await told(served, "upgrade failed ")
            assert re.match(r'upgrade failed kept=2 reason="ModuleNotFoundError: .*no_such_module', failed)
            assert proc.process(served.master) is not None
            assert served.log.count(f"master[{served.master}] starting ") == 1
        assert {each: clients.tally[each] for each in TROUBLES} == dict.fromkeys(TROUBLES, 0)
        assert clients.tally[Outcome.OK] > 0


@pytest.mark.slow
@pytest.mark.timeout(180)  # pip runs three times beside the load
def test_a_version_that_pip_installs_over_another_takes_over_under_load_and_a_broken_one_does_not(
    environment: Environment,
) -> None:
    asyncio.run(upgrade_and_fail(environment))
