"""The fixtures of the tests under a real systemd."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.systemd.environment import shared
from tests.systemd.machine import CannotBootError, Machine, booted

FAILED = pytest.StashKey[bool]()
HERE = Path(__file__).parent
SECONDS = 180  # the first test waits for the environment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that their machine takes."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test has failed, for its fixtures."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


def cannot(reason: object) -> NoReturn:
    """Skip the test where this machine can't run it; continuous integration has to."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to boot a systemd: {reason}")
    pytest.skip(str(reason))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the environment that machines have in /opt/prefork, one for all processes of the tests."""
    base = tmp_path_factory.getbasetemp()
    try:
        return shared(base if worker_id == "master" else base.parent)
    except CannotBootError as error:
        cannot(error)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for what a test gives to its machine."""
    made = tmp_path / "given"
    made.mkdir()
    return made


@pytest.fixture
def machine(request: pytest.FixtureRequest, environment: Path, folder: Path, tmp_path: Path) -> Iterator[Machine]:
    """Boot a machine; the marker `sandbox` of a test has more options of the script."""
    marker = request.node.get_closest_marker("sandbox")
    options = [each.format(environment=environment, folder=folder) for each in marker.args] if marker else []
    try:
        with booted(environment, tmp_path, options) as running:
            yield running
            if request.node.stash.get(FAILED, False):
                print(running.ask("journalctl --no-pager --lines=200").output)  # noqa: T201 - pytest shows it
    except CannotBootError as error:
        cannot(error)
