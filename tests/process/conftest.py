"""The fixtures of the process tests."""

import resource
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.process.installing import Installation
from tests.process.starting import RUN, Start
from tests.process.trust import NAMES, Trust


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command as often as the test wants; at the end, fail if anything is left over of it."""
    services = Start(tmp_path)
    yield services
    problems = services.end()
    assert not problems, problems


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[Start]:
    """Start `prefork run` as often as the test wants, with the same care."""
    services = Start(tmp_path, RUN)
    yield services
    problems = services.end()
    assert not problems, problems


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    """Return a copy of the package, for services that are started with its `environ`."""
    return Installation(tmp_path)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Allow the test, and what it starts, as many descriptors as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    """Return an authority that has issued a.pem, with a.key, for NAMES, beside the folders of the services."""
    trust = Trust(tmp_path)
    trust.issue("a", *NAMES)
    return trust


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that anybody may read, which those of the tests are not."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
