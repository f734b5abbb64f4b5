"""What a newcomer does: a fresh environment, `pip install . flask`, five lines, and changes while the service is busy,
each told by HUP or noticed by --reload."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.apps.serving import Serve
from tests.process.clients import Load

REPOSITORY = Path(__file__).parents[2]
INSTALL_SECONDS = 120
APP = """from flask import Flask
app = Flask(__name__)
@app.get("/")
def hello():
    return {}
"""


@pytest.fixture(scope="module")
def prefork(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the command in an environment with this package, what it needs to watch files, and Flask."""
    folder = tmp_path_factory.mktemp("fresh")
    source = folder / "source"
    shutil.copytree(REPOSITORY / "prefork", source / "prefork", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    venv.create(folder / "venv")  # without a pip of its own, which takes 4 s of a core
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "venv/bin/python"), "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", ".[reload]", "flask"]
    done = subprocess.run(install, cwd=source, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("nothing can be installed from here")
    assert done.returncode == 0, done.stderr
    return str(folder / "venv/bin/prefork")


def write(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "hello_flask.py").write_text(text)


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_SECONDS + 60)
def test_five_lines_are_served_and_changed_under_load_and_broken_and_mended(serve: Serve, prefork: str) -> None:
    site = serve(lambda folder: write(folder, APP.format("'old'")), "hello_flask:app", program=prefork)
    with Load(site.connect) as load:
        load.wait_for_more()
        write(site.folder, APP.format("'newer'"))
        site.hang_up(" reloaded generation=2")
        load.wait_for_more()
        assert site.connect().ask().body == b"newer"
        write(site.folder, APP.format("'newest"))
        log = site.hang_up(" reload failed generation=3 kept=2 ")
        reason = "hello_flask:app: SyntaxError: unterminated string literal (detected at line 5) (hello_flask.py:5)"
        assert f'reason="{reason}"' in log
        load.wait_for_more()
        assert site.connect().ask().body == b"newer"
        write(site.folder, APP.format("'mended now'"))
        site.hang_up(" reloaded generation=4")
        load.wait_for_more()
        assert site.connect().ask().body == b"mended now"
    assert load.lost == []
    assert set(load.answers) == {(200, b"old"), (200, b"newer"), (200, b"mended now")}


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_SECONDS + 60)
def test_each_change_of_five_lines_is_noticed_under_load_and_its_mistakes_are_shown(serve: Serve, prefork: str) -> None:
    site = serve(
        lambda folder: write(folder, APP.format("'old'")),
        *("hello_flask:app", "--reload", "--workers", "2"),
        program=prefork,
        environ={"FLASK_DEBUG": "1"},
    )
    seen = site.wait_for_log("watching folders=.")

    def change(text: str, outcome: str) -> None:
        nonlocal seen
        write(site.folder, text)
        seen = site.wait_for_log(outcome, site.wait_for_log("changed path=hello_flask.py", seen))

    with Load(site.connect) as load:
        load.wait_for_more()
        change(APP.format("'newer'"), " reloaded generation=2")
        assert site.get().text == "newer"
        reason = "hello_flask:app: SyntaxError: unterminated string literal (detected at line 5) (hello_flask.py:5)"
        change(APP.format("'newest"), f'reload failed generation=3 kept=2 reason="{reason}"')
        assert site.get().text == "newer"
        change(APP.format("'mended now'"), " reloaded generation=4")
        assert site.get().text == "mended now"
        load.wait_for_more()
    assert load.lost == []
    assert set(load.answers) == {(200, b"old"), (200, b"newer"), (200, b"mended now")}
    change(APP.format("1 / 0"), " reloaded generation=5")
    failed = site.get()
    assert failed.status_code == 500
    assert failed.text.startswith("The application failed: ZeroDivisionError: division by zero (hello_flask.py:5)\n")
