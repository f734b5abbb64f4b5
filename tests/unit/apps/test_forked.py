"""What a forked process leaves to its worker, and how it ends, with descriptors and processes of this one."""

import os

import pytest

from prefork.apps.forked import end_if_forked, status_of
from prefork.master.processes import fork_child


def test_the_process_itself_goes_on() -> None:
    end_if_forked(os.getpid())


def test_another_ends_with_the_status() -> None:
    pid = os.getpid()
    child = fork_child(lambda: end_if_forked(pid, 7))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize(
    ("error", "status"),
    [(SystemExit(), 0), (SystemExit(7), 7), (SystemExit("said"), None), (ValueError(7), None)],
)
def test_only_sys_exit_with_a_number_asks_for_a_status(error: BaseException, status: int | None) -> None:
    assert status_of(error) == status
