"""The system refuses to fork: the service goes on with the workers it has, and recovers by itself."""

import os
import re
import resource
import subprocess
from signal import SIGHUP, SIGKILL, SIGTTIN

from tests.process.clients import Load
from tests.process.hello import Hello
from tests.process.starting import AS_NOBODY, Start

EAGAIN = "can't fork: Resource temporarily unavailable"


def limit_processes(hello: Hello, limit: str) -> None:
    """Say how many processes its user may have, as that user: root in a container may not."""
    subprocess.run([*AS_NOBODY, "prlimit", f"--pid={hello.master_pid}", f"--nproc={limit}:"], check=True)


def forbid_forks(hello: Hello) -> None:
    limit_processes(hello, "1")  # it has more already


def allow_forks(hello: Hello) -> None:
    _soft, hard = resource.prlimit(os.getpid(), resource.RLIMIT_NPROC)
    limit_processes(hello, "unlimited" if hard == resource.RLIM_INFINITY else str(hard))


def test_the_others_serve_all_clients_until_a_killed_worker_can_be_replaced(start: Start) -> None:
    hello = start("workers = 2", under=AS_NOBODY)
    survivor, victim = hello.in_slots()
    forbid_forks(hello)
    os.kill(victim, SIGKILL)
    hello.wait_for_log(f'reason="{EAGAIN}" respawn_in=')
    with Load(hello.connect) as load:
        hello.wait_for_log(f'reason="{EAGAIN}" respawn_in=0.6')
        assert all(hello.get().status_code == 200 for _ in range(40))  # half of them go to the other's socket
        assert hello.worker_pids() == {survivor}
        allow_forks(hello)
        hello.wait_for_workers(2)
        load.wait_for_more()
    assert load.lost == []
    assert hello.log.count(EAGAIN) == len(re.findall("respawn_in=", hello.log)) - 1


def test_a_reload_fails_and_the_old_workers_serve_on(start: Start) -> None:
    hello = start("workers = 2", under=AS_NOBODY)
    forbid_forks(hello)
    hello.signal(SIGHUP)
    hello.wait_for_log(f'reload failed generation=2 kept=1 reason="{EAGAIN}"')
    assert hello.get().status_code == 200
    assert hello.worker_pids() == set(hello.descriptors)
    allow_forks(hello)
    hello.reload("workers = 2")


def test_a_worker_more_comes_when_it_can(start: Start) -> None:
    hello = start("workers = 1", under=AS_NOBODY)
    forbid_forks(hello)
    hello.signal(SIGTTIN)
    hello.wait_for_log(f'worker failed slot=1 reason="{EAGAIN}" respawn_in=0.')
    assert all(hello.get().status_code == 200 for _ in range(20))
    allow_forks(hello)
    hello.wait_for_workers(2)
