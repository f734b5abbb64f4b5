"""The fixtures of the tests with real applications."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.apps import django_project
from tests.apps.serving import Serve
from tests.process.conftest import many_descriptors

__all__ = ["many_descriptors"]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve applications as often as the test wants; at the end, fail if anything is left over."""
    services = Serve(tmp_path)
    yield services
    problems = services.end()
    assert not problems, problems


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], object]:
    """Return what fills a folder with a project of Django."""
    folder = tmp_path_factory.mktemp("django") / "project"
    django_project.make(folder)
    return django_project.copy(folder)
