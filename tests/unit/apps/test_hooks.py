"""The user's functions in a worker's life."""

from pathlib import Path

import pytest

from prefork.apps.hooks import Hooks
from prefork.apps.interface import LoadError, ThisWorker
from prefork.logs.log import Log
from tests.unit.apps.modules import folder

__all__ = ["folder"]

WORKER = ThisWorker(slot=1, generation=2, pid=3, log=Log("worker-1", "info"))


def test_a_hook_is_told_its_worker(folder: Path) -> None:
    (folder / "hooks.py").write_text(
        "from pathlib import Path\n"
        "def post_fork(worker):\n"
        "    Path('seen').write_text(f'{worker.slot} {worker.generation} {worker.pid}')\n"
    )
    hooks = Hooks("hooks")
    hooks.prepare("post_fork", WORKER)
    assert (folder / "seen").read_text() == "1 2 3"
    hooks.prepare("post_worker_init", WORKER)
    hooks.tell("worker_exit", WORKER)


def test_without_a_module_there_are_none(capfd: pytest.CaptureFixture[str]) -> None:
    hooks = Hooks(None)
    hooks.prepare("post_fork", WORKER)
    hooks.tell("pre_stop", WORKER)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def post_fork(worker):\n    1 / 0\n", "hooks.post_fork: ZeroDivisionError: division by zero (hooks.py:2)"),
        ("def post_fork(server, worker): pass", "hooks.post_fork: TypeError: post_fork() missing 1 required"),
        ("import nowhere", "hooks: hooks: ModuleNotFoundError: No module named 'nowhere' (hooks.py:1)"),
        ("worker_exit = 3", "hooks.worker_exit: expected a function, got 3"),
        ("def post_frok(worker): pass", "hooks: hooks has post_frok, did you mean post_fork?"),
        ("def preStop(worker): pass", "hooks: hooks has preStop, did you mean pre_stop?"),
        (
            "def post_fork(worker): 1 / 0\ndef pre_sotp(worker): pass",
            "hooks: hooks has pre_sotp, did you mean pre_stop?",
        ),
        (
            "def starting(worker): pass",
            "hooks: hooks has none of post_fork, post_worker_init, pre_stop, worker_exit",
        ),
    ],
)
def test_what_fails_before_the_worker_is_ready_fails_its_start(folder: Path, text: str, problem: str) -> None:
    (folder / "hooks.py").write_text(text)
    with pytest.raises(LoadError) as error:
        Hooks("hooks").prepare("post_fork", WORKER)
    assert error.value.problem.startswith(problem)
    assert error.value.status == 65


@pytest.mark.parametrize("what", ["raise ValueError('x')", "raise SystemExit(1)", "raise CancelledError"])
def test_what_fails_later_is_logged_as_the_hooks(folder: Path, capfd: pytest.CaptureFixture[str], what: str) -> None:
    (folder / "hooks.py").write_text(f"def worker_exit(worker):\n    {what}\n\nfrom asyncio import CancelledError\n")
    Hooks("hooks").tell("worker_exit", WORKER)
    first, *lines = capfd.readouterr().err.splitlines()
    assert "hook failed hook=hooks.worker_exit reason=" in first
    assert "(hooks.py:2)" in first
    assert any(what in line for line in lines)


def test_other_functions_are_left_alone(folder: Path) -> None:
    (folder / "hooks.py").write_text(
        "def on_starting(server): raise ValueError\n"
        "def post_request(): raise ValueError\n"
        "def post_form(): raise ValueError\n"  # near a name that is there, so that it can't be meant
        "def post_fork(worker): pass\n"
        "def pre_fork(server): raise ValueError\n"
        "def worker_int(worker): raise ValueError\n"
        "def _pre_stop(): raise ValueError\n"
        "pre_stops = 3\n"
        "def worker_exit(worker): pass\n"
    )
    hooks = Hooks("hooks")
    hooks.prepare("post_fork", WORKER)
    hooks.tell("worker_exit", WORKER)
