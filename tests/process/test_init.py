"""As the first process of a container: it is given orphans, and has to reap them."""

import subprocess
from signal import SIGHUP, SIGTERM

import pytest

from tests.process import proc
from tests.process.clients import Load
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.waiting import until

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
REFUSED = subprocess.run((*CONTAINER, "true"), capture_output=True, text=True, check=False).stderr
pytestmark = pytest.mark.skipif(bool(REFUSED), reason=REFUSED.strip())


def started(start: Start, toml: str) -> Hello:
    """Start it as process 1 of a namespace, whose parent is unshare(1)."""
    hello = start(toml, under=CONTAINER)
    (hello.master_pid,) = proc.children(hello.master_pid)
    assert proc.status(hello.master_pid)["NSpid"][-1] == "1"
    return hello


def give_orphans(hello: Hello, count: int) -> None:
    """Have processes lose their parent and end with a failure a little later."""
    script = f"for n in $(seq {count}); do (sleep 0.0$n; exit 3) & done"
    command = ("nsenter", f"--target={hello.master_pid}", "--pid", "--mount", "sh", "-c", script)
    subprocess.run(command, check=True)


def all_children(pid: int) -> set[str]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return set(file.read().split())


def test_orphans_are_reaped_and_nobody_is_blamed_for_them(start: Start) -> None:
    hello = started(start, "workers = 2")
    workers = set(map(str, hello.worker_pids()))
    with Load(hello.connect) as load:
        give_orphans(hello, 50)
        assert len(all_children(hello.master_pid)) > 2
        hello.signal(SIGHUP)
        hello.wait_for_log(" reloaded ")
        give_orphans(hello, 50)
        load.wait_for_more()
        until(lambda: len(all_children(hello.master_pid)) == 2, "the end of the orphans")
    assert load.lost == []
    assert "failed" not in hello.log
    assert not workers & all_children(hello.master_pid)


def test_term_ends_it_with_status_0_and_all_others_with_it(start: Start) -> None:
    hello = started(start, "workers = 2")
    subprocess.run(
        ("nsenter", f"--target={hello.master_pid}", "--pid", "--mount", "sh", "-c", "sleep 100 &"), check=True
    )
    assert hello.stop(SIGTERM) == 0
