"""Who the workers are."""

import grp
import os
import pwd
from signal import SIGINT, SIGQUIT, Signals

import pytest

from tests.process import proc
from tests.process.clients import HALF_A_HEAD
from tests.process.commands import CONTROL, command
from tests.process.starting import AS_NOBODY, Start

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run workers as somebody else")

WITHOUT_KILL = ("setpriv", "--bounding-set=-kill", "--inh-caps=-kill")
UNIX = ("unix:hello.sock",)
NOBODY = pwd.getpwnam("nobody")


def ids(pid: int, kind: str) -> set[int]:
    """Return the real, effective, saved and filesystem id of a process."""
    return set(map(int, proc.status(pid)[kind]))


def test_workers_become_the_user_for_good_and_the_master_stays_root(start: Start) -> None:
    hello = start('workers = 2\nuser = "nobody"')
    for pid in hello.worker_pids():
        assert (ids(pid, "Uid"), ids(pid, "Gid")) == ({NOBODY.pw_uid}, {NOBODY.pw_gid})
        assert ids(pid, "Groups") == set(os.getgrouplist("nobody", NOBODY.pw_gid))
        assert proc.status(pid)["CapEff"] == ["0" * 16]
    assert ids(hello.master_pid, "Uid") == {0}
    assert hello.get().status_code == 200


def test_workers_take_another_group_than_the_user_has(start: Start) -> None:
    group = next(each for each in grp.getgrall() if each.gr_gid not in (0, NOBODY.pw_gid))
    hello = start(f'workers = 1\nuser = "nobody"\ngroup = "{group.gr_name}"')
    (worker,) = hello.worker_pids()
    assert (ids(worker, "Uid"), ids(worker, "Gid")) == ({NOBODY.pw_uid}, {group.gr_gid})
    assert 0 not in ids(worker, "Groups")


def test_a_unix_socket_is_of_the_group_of_the_workers_before_and_after_a_reload(start: Start) -> None:
    group = next(each for each in grp.getgrall() if each.gr_gid not in (0, NOBODY.pw_gid))
    names = f'user = "nobody"\ngroup = "{group.gr_name}"'
    hello = start(f"workers = 1\n{names}", bind=UNIX)
    socket = hello.folder / "hello.sock"
    assert (socket.stat().st_uid, socket.stat().st_gid) == (0, group.gr_gid)
    socket.unlink()
    hello.reload(f"workers = 1\n{names}", UNIX)
    assert (socket.stat().st_uid, socket.stat().st_gid) == (0, group.gr_gid)
    assert hello.connect().ask().status == 200
    assert ids(hello.master_pid, "Gid") == {0}


def test_root_that_may_not_change_its_group_says_so_of_a_unix_socket(start: Start) -> None:
    group = next(each for each in grp.getgrall() if each.gr_gid not in (0, NOBODY.pw_gid))
    without = ("setpriv", "--bounding-set=-setgid", "--inh-caps=-setgid")
    status, error = start.refused(f'group = "{group.gr_name}"', bind=UNIX, under=without)
    problem = f"group {group.gr_gid}, of the workers: can't be given a unix socket: Operation not permitted"
    assert (status, error) == (77, f"prefork-hello: error: {problem}; the system must allow setgid")


def test_workers_without_rights_log_to_files_of_root_and_are_replaced(start: Start) -> None:
    hello = start('workers = 1\nuser = "nobody"\nlog = "hello.log"\naccess_log = "access.log"', log_file="hello.log")
    hello.reload('workers = 1\nuser = "nobody"\nlog = "hello.log"\naccess_log = "access.log"')
    hello.wait_for_workers(1, without=hello.descriptors)
    assert hello.get().status_code == 200
    assert hello.stop() == 0
    assert ' "GET / HTTP/1.1" 200 13 ' in (hello.folder / "access.log").read_text()


@pytest.mark.parametrize("ask", [pytest.param(SIGQUIT, id="quit"), pytest.param(SIGINT, id="interrupted twice")])
def test_a_master_that_may_not_kill_its_workers_has_them_end(start: Start, ask: Signals) -> None:
    hello = start('workers = 2\nuser = "nobody"', under=WITHOUT_KILL)
    client = hello.connect()
    client.send(HALF_A_HEAD)
    if ask is SIGINT:
        hello.signal(SIGINT)
        hello.wait_for_log("stopping how=graceful")
    assert hello.stop(ask) == 0
    assert hello.log.count("no permission to kill pid=")


def test_a_master_that_may_not_have_stacks_written_tells_so_and_goes_on(start: Start) -> None:
    hello = start('workers = 1\nuser = "nobody"', *CONTROL, under=WITHOUT_KILL)
    assert command(hello, "dump") == (0, "told workers to write their stacks into the log: 0\n")
    assert hello.get().status_code == 200


def test_root_without_a_user_is_warned(start: Start) -> None:
    assert " warning " in start("workers = 1").log
    assert "workers run as root" in start("workers = 1").log
    assert "workers run as root" not in start('workers = 1\nuser = "nobody"').log


def test_somebody_else_than_root_can_run_it_all(start: Start) -> None:
    hello = start("workers = 2", under=AS_NOBODY)
    assert ids(hello.master_pid, "Uid") == {65534}
    assert hello.get().status_code == 200
    assert "workers run as root" not in hello.log
