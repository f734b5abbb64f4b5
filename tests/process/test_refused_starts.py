"""Starts that can't succeed: the user sees one line that says why, and an exit status that says who can mend it."""

import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from signal import SIGHUP

import pytest

from tests.process import proc
from tests.process.starting import AS_NOBODY, Start
from tests.process.trust import NAMES, Trust

FIRST_FREE_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
WITHOUT_READING = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
WITHOUT_SETUID = ("setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run workers as somebody else")


def test_a_port_in_use_is_69(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = "127.0.0.1:{1}".format(*other.getsockname())
        status, error = start.refused("workers = 1", bind=[address])
    assert status == 69
    assert error.startswith(f"prefork-hello: error: {address}: address in use; ")


def test_a_port_of_another_prefork_hello_is_69(start: Start) -> None:
    first = start('workers = 2\naccept = "reuseport"')
    status, error = start.refused('workers = 2\naccept = "reuseport"', bind=first.addresses)
    assert (status, "address in use" in error) == (69, True)


def test_an_address_of_another_machine_is_69(start: Start) -> None:
    status, error = start.refused(bind=["192.0.2.1:8080"])  # TEST-NET-1, RFC 5737
    assert status == 69
    assert error.startswith("prefork-hello: error: 192.0.2.1:8080: cannot assign address; ")


@pytest.mark.skipif(int(FIRST_FREE_PORT.read_text()) < 2, reason="every port is free for everybody")
def test_a_port_without_permission_is_77(start: Start) -> None:
    status, error = start.refused("workers = 1", bind=["127.0.0.1:1"], under=AS_NOBODY)
    assert status == 77
    assert error.startswith("prefork-hello: error: 127.0.0.1:1: no permission; ")


@pytest.mark.parametrize("key", ["user", "group"])
def test_an_unknown_user_or_group_is_78(start: Start, key: str) -> None:
    status, error = start.refused(f'{key} = "nobody-of-that-name"')
    assert status == 78
    assert error.startswith(f"prefork-hello: error: {key}: there is no {key} 'nobody-of-that-name'; ")


def test_a_user_that_only_root_can_become_is_77(start: Start) -> None:
    status, error = start.refused('user = "root"', under=AS_NOBODY)
    assert status == 77
    assert error.startswith("prefork-hello: error: user, group: only root can ")


def test_a_pid_file_that_is_locked_is_75_and_tells_the_pid_of_the_first(start: Start) -> None:
    first = start('workers = 1\npid_file = "hello.pid"')
    status, error = start.refused(f'pid_file = "{first.folder}/hello.pid"')
    assert status == 75
    assert f"already running as pid {first.master_pid}" in error


def test_a_pid_file_that_cannot_be_created_is_73(start: Start) -> None:
    status, error = start.refused('pid_file = "no/such/folder/pid"')
    assert (status, "no/such/folder/pid: can't be created" in error) == (73, True)


def test_a_pid_file_on_a_full_disk_is_73_and_not_left_over(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "hello.pid"
    status, error = start.refused(f'pid_file = "{path}"', under=("prlimit", "--fsize=0"))
    assert (status, error) == (
        73,
        f"prefork-hello: error: pid_file {path}: can't be written: File too large; make room or choose another path",
    )
    assert not path.exists()


@pytest.mark.parametrize("key", ["log", "access_log", "pid_file", "control"])
def test_a_check_finds_out_what_can_not_be_created(start: Start, key: str) -> None:
    # The tests' environment has a control socket switched off, and precedence over the file.
    status, error = start.refused(f'{key} = "no/such/x"', "--check-config", environ={"PREFORK_CONTROL": "no/such/x"})
    assert (status, f"{key} no/such/x: can't be opened or made: No such file or directory; " in error) == (73, True)


@pytest.mark.parametrize("key", ["log", "access_log"])
def test_a_log_file_that_cannot_be_created_is_73(start: Start, key: str) -> None:
    status, error = start.refused(f'{key} = "no/such/folder/log"')
    assert (status, "no/such/folder/log: can't be opened" in error) == (73, True)


def test_a_stream_of_another_user_is_no_file_to_log_to(start: Start, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.touch(0o000)
    status, error = start.refused(f'access_log = "{closed}"', under=WITHOUT_READING)
    assert status == 73
    assert error.endswith(
        ': can\'t be opened: Permission denied; say "-" for a standard stream, or choose another path'
    )


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("workers = = 2", r"hello\.toml:2: not valid TOML: .*"),
        ('workers = "many"', r'hello\.toml:2: workers: expected .*, got "many"'),
        ("workers = 2\nbacklog = 0", r"hello\.toml:3: backlog: expected .*, got 0"),
        ("wrokers = 2", r'hello\.toml:2: wrokers: unknown key, did you mean "workers"\?'),
        ("[hello]\nstatus = 99", r"hello\.toml:3: hello\.status: expected .*, got 99"),
    ],
)
def test_a_broken_configuration_is_78_and_names_file_line_and_key(start: Start, toml: str, reason: str) -> None:
    status, error = start.refused(toml)
    assert status == 78
    assert re.fullmatch(f"prefork-hello: error: {reason}", error), error


def test_a_file_that_is_none_is_78_at_once(start: Start, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert start.refused("", "--config", "../fifo") == (
        78,
        "prefork-hello: error: ../fifo: cannot be read: a pipe that nobody writes to",
    )
    for key, rest in (("tls_cert", ""), ("tls_cert", 'tls_key = "hello.toml"'), ("tls_key", 'tls_cert = "../a.pem"')):
        Trust(tmp_path).issue("a", *NAMES)
        assert start.refused(f'{key} = "../fifo"\n{rest}') == (
            78,
            f"prefork-hello: error: {key}: ../fifo: can't be read: Not a regular file",
        )


def test_a_configuration_may_come_by_a_pipe_once(start: Start) -> None:
    reader, writer = os.pipe()
    os.write(writer, b'bind = ["127.0.0.1:0"]\nworkers = 3')
    os.close(writer)
    hello = start("", "--config", f"/dev/fd/{reader}", passing=(reader,))
    os.close(reader)
    assert len(hello.worker_pids()) == 3
    hello.signal(SIGHUP)
    hello.wait_for_log(f'kept=1 reason="/dev/fd/{reader}: cannot be read: ')
    assert hello.get().status_code == 200


def test_a_configuration_that_cannot_be_read_is_77(start: Start, tmp_path: Path) -> None:
    closed = tmp_path / "closed.toml"
    closed.touch(0o000)
    status, error = start.refused("", "--config", str(closed), under=WITHOUT_READING)
    assert status == 77
    assert error.startswith(f"prefork-hello: error: {closed}: ")


@pytest.mark.parametrize("limit", ["--nofile=8", "--nofile=9", "--fsize=0"])
def test_a_start_that_the_system_refuses_what_it_takes_is_71(start: Start, limit: str) -> None:
    """No descriptors for the scoreboard, or no room in it."""
    status, error = start.refused("workers = 2", under=("prlimit", limit))
    assert status == 71
    assert error.startswith("prefork-hello: error: the system refused: "), error


@pytest.mark.parametrize("limit", range(5, 12))
def test_a_start_without_descriptors_is_71_wherever_they_end(start: Start, limit: int) -> None:
    toml = 'workers = 1\npid_file = "pid"\nlog = "log"'
    under = ("prlimit", f"--nofile={limit}")
    status, error = start.refused(toml, bind=("unix:hello.sock", "127.0.0.1:0"), under=under)
    assert status == 71, error
    assert re.search(r": Too many open files; raise (its|the system's) limits$", error)
    assert not {"pid", "hello.sock"} & set(os.listdir(start.folder / "service-1"))


@pytest.mark.parametrize(
    ("toml", "under", "expected"), [('tls_cert = "none.pem"', (), 66), ("", ("prlimit", "--nofile=8"), 71)]
)
def test_a_start_that_fails_after_it_listened_leaves_no_unix_socket_behind(
    start: Start, toml: str, under: Sequence[str], expected: int
) -> None:
    status, error = start.refused(toml, bind=("unix:hello.sock",), under=under)
    assert status == expected, error
    assert not (start.folder / "service-1" / "hello.sock").exists()


def test_workers_that_cannot_be_forked_end_the_start_with_70_and_the_reason(start: Start) -> None:
    """A limit of one process for a user who has that one already."""
    status, error = start.refused("workers = 2", under=(*AS_NOBODY, "prlimit", "--nproc=1"))
    assert status == 70
    assert re.search(r"gave up: 3 workers in a row failed: can't fork: Resource temporarily unavailable", error), error


@as_root
def test_workers_that_cannot_become_the_user_end_the_start_at_once_with_77_and_without_a_traceback(
    start: Start,
) -> None:
    status, error = start.refused('workers = 2\nuser = "nobody"', under=WITHOUT_SETUID)
    assert status == 77
    assert error == (
        "prefork-hello: error: user: a worker can't become nobody: [Errno 1] Operation not permitted; "
        "the system must allow setuid and setgid"
    )


def test_what_ends_a_start_that_logs_to_a_file_is_told_there_and_at_the_terminal(start_app: Start) -> None:
    start_app.files = {"shop.py": "1 / 0\n"}
    problem = "shop:app: ZeroDivisionError: division by zero (shop.py:1)"
    assert start_app.refused('app = "shop:app"\nworkers = 1\nlog = "log"') == (65, f"prefork: error: {problem}")
    log = (start_app.folder / "service-1" / "log").read_text()
    assert f'start failed reason="{problem}"' in log
    assert "can't get ready" in log


def test_what_ends_a_start_before_its_log_is_open_is_told_once(start: Start) -> None:
    hello = start.launch('pid_file = "no/such/pid"\nlog = "log"')
    assert hello.wait_for_exit() == 73
    assert len(hello.log.splitlines()) == 1
    assert not (hello.folder / "log").exists()


def test_a_service_that_logs_to_a_file_lets_go_of_the_terminal_when_it_is_ready(start: Start) -> None:
    hello = start('workers = 1\nlog = "log"\naccess_log = "off"', log_file="log")
    for pid in (hello.master_pid, *hello.worker_pids()):
        held = [number for number, where in proc.descriptors(pid).items() if where.endswith("/output")]
        assert held == [1]
