"""An interrupt while a command is still being imported."""

import subprocess
import sys
from signal import SIGINT

import pytest

INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "prefork.cli":
            os.kill(os.getpid(), signal.SIGINT)

{before}
sys.meta_path.insert(0, Interrupt())
sys.argv = ["prefork", "--version"]
from prefork.entry import {command}
{command}()
"""


@pytest.mark.parametrize("command", ["prefork", "prefork_hello"])
def test_an_interrupt_before_all_is_imported_ends_a_command_without_a_word(command: str) -> None:
    ended = run(command, "signal.signal(signal.SIGINT, signal.default_int_handler)")  # in the background it is ignored
    assert (ended.returncode, ended.stdout, ended.stderr) == (-SIGINT, "", "")


@pytest.mark.parametrize("command", ["prefork", "prefork_hello"])
def test_a_command_that_is_to_ignore_interrupts_does(command: str) -> None:
    ended = run(command, "signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("prefork ")


def run(command: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = INTERRUPTED.format(command=command, before=before)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
