"""`--daemon`: it runs on in the background when the command has returned."""

import fcntl
import os
import socket
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.process import proc
from tests.process.starting import CHILDREN_IGNORED, Start, run


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_the_command_returns_0_when_the_daemon_serves(start: Start) -> None:
    hello = start.daemon("workers = 2")
    assert hello.get().status_code == 200


def test_it_returns_0_too_where_the_caller_ignores_the_ends_of_children(start: Start) -> None:
    hello = start.daemon("workers = 1", under=CHILDREN_IGNORED)
    assert hello.get().status_code == 200


def test_the_daemon_has_no_parent_here_no_terminal_and_a_session_without_a_leader(start: Start) -> None:
    hello = start.daemon("workers = 1")
    daemon = proc.process(hello.master_pid)
    assert daemon is not None
    assert daemon.parent != os.getpid()
    assert daemon.terminal == 0
    assert daemon.session not in {os.getsid(0), daemon.pid}
    assert {proc.descriptors(daemon.pid)[number] for number in (0, 1)} == {"/dev/null"}
    assert proc.descriptors(daemon.pid)[2] == str(hello.folder / "hello.log")


def test_the_pid_file_names_the_daemon_and_is_locked_while_it_lives(start: Start) -> None:
    hello = start.daemon("workers = 2")
    path = hello.folder / "hello.pid"
    assert path.read_text() == f"{hello.master_pid}\n"
    assert proc.title(hello.master_pid) == "prefork-hello: master [hello.toml]"
    assert is_locked(path)
    assert hello.stop() == 0
    assert not path.exists()


def test_a_second_start_is_refused_with_75_and_told_the_pid(start: Start) -> None:
    hello = start.daemon("workers = 1")
    second = run(hello, "--daemon")
    assert second.returncode == 75
    assert second.stderr.startswith("prefork-hello: error: pid_file hello.pid: ")
    assert f"already running as pid {hello.master_pid}" in second.stderr
    assert second.stderr.count("\n") == 1
    assert hello.get().status_code == 200


@pytest.mark.parametrize("content", ["", "1\n", "4194304\n", "no number\n"])
def test_a_stale_pid_file_is_no_obstacle(start: Start, content: str) -> None:
    path = start.folder / "stale.pid"
    path.write_text(content)
    hello = start(f'workers = 1\npid_file = "{path}"')
    assert path.read_text() == f"{hello.master_pid}\n"


def test_a_daemon_can_be_started_again_after_it_was_killed(start: Start) -> None:
    killed = start.daemon("workers = 1")
    killed.signal(SIGKILL)
    killed.wait_for_exit()
    killed.wait_until_gone()
    assert (killed.folder / "hello.pid").exists()
    again = run(killed, "--daemon")
    assert (again.returncode, again.stderr) == (0, "")
    killed.watch_daemon()
    assert killed.stop() == 0


def test_a_daemon_that_cannot_start_says_so_on_the_terminal(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = "127.0.0.1:{1}".format(*other.getsockname())
        status, error = start.refused('pid_file = "hello.pid"', "--daemon", bind=[address])
    assert status == 69
    assert error.startswith(f"prefork-hello: error: {address}: address in use; ")


def test_a_daemon_with_a_broken_configuration_says_so_on_the_terminal(start: Start) -> None:
    status, error = start.refused('workers = "many"', "--daemon")
    assert (status, error.startswith("prefork-hello: error: hello.toml:2: workers: ")) == (78, True)


def test_a_daemon_is_reloaded_by_hup(start: Start) -> None:
    hello = start.daemon("workers = 1")
    hello.reload('pid_file = "hello.pid"\nlog = "hello.log"\nworkers = 2\n[hello]\nbody = "new"')
    hello.wait_for_workers(2, without=hello.descriptors)
    assert hello.get().text == "new"
