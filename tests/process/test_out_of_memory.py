"""A worker that the kernel kills for memory is told from one that somebody kills."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.process.starting import Start
from tests.process.waiting import until

ROOT = Path("/sys/fs/cgroup")
JOINED = ("sh", "-c", 'echo $$ >"$0" && exec "$@"')
LIMITS = {"memory.limit_in_bytes": "200M", "memory.max": "200M", "memory.swap.max": "0"}  # cgroup v1, v2
HOG = "held = [bytearray(1 << 20) for _ in range(1000)]"


@pytest.fixture
def group() -> Iterator[Path]:
    """Make a cgroup of limited memory beside the other cgroups of this machine."""
    path = (ROOT / "memory" if (ROOT / "memory").exists() else ROOT) / f"prefork-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        limits = {path / name: limit for name, limit in LIMITS.items() if (path / name).exists()}
        for file, limit in limits.items():
            file.write_text(limit)
        if not limits:
            pytest.skip("the memory controller isn't handed down to the cgroups here")
        yield path
    finally:
        until(lambda: not (path / "cgroup.procs").read_text(), "the end of all processes in the cgroup")
        path.rmdir()


def test_the_log_tells_them_apart(group: Path, start: Start) -> None:
    procs = str(group / "cgroup.procs")
    hello = start("workers = 2", under=(*JOINED, procs))
    by_hand, by_kernel = hello.in_slots()
    os.kill(by_hand, SIGKILL)
    hello.wait_for_log('worker failed slot=0 reason="killed by SIGKILL" ')
    Path(f"/proc/{by_kernel}/oom_score_adj").write_text("1000")
    subprocess.run((*JOINED, procs, sys.executable, "-c", HOG), check=False)
    hello.wait_for_log('worker failed slot=1 reason="killed by SIGKILL, out of memory" ')
    assert hello.get().status_code == 200
