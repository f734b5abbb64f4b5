"""How many CPUs may be used, from files as the kernel writes them."""

import os
from pathlib import Path

import pytest

from prefork.master.cpus import allowed_cpus, quotas


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_at_least_one_and_no_more_than_affinity_allows() -> None:
    assert 1 <= allowed_cpus() <= len(os.sched_getaffinity(0))


def test_a_process_bound_to_one_cpu_may_use_one() -> None:
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        assert allowed_cpus() == 1
    finally:
        os.sched_setaffinity(0, everywhere)


def test_the_quotas_of_the_cgroup_and_of_all_above_it_count(tmp_path: Path) -> None:
    write(tmp_path / "a/b/cpu.max", "400000 100000\n")
    write(tmp_path / "a/cpu.max", "150000 100000\n")
    write(tmp_path / "cpu.max", "max 100000\n")
    assert list(quotas("0::/a/b\n", str(tmp_path))) == [4, 2]


def test_a_container_that_sees_the_path_of_its_host_finds_its_quota_at_the_mount(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "50000 100000\n")
    assert list(quotas("0::/system.slice/docker-1f.scope\n", str(tmp_path))) == [1]


def test_version_1_has_a_hierarchy_of_its_own_for_the_cpu_controller(tmp_path: Path) -> None:
    write(tmp_path / "cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n")
    write(tmp_path / "cpu,cpuacct/a/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cpuset/a/cpu.cfs_quota_us", "1\n")
    assert list(quotas("5:cpuset:/a\n4:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/\n", str(tmp_path))) == [3]


@pytest.mark.parametrize("text", ["", "max 100000\n", "max", "100000 0\n", "many 100000\n", "-1 100000\n", "100000"])
def test_what_sets_no_limit_or_can_not_be_understood_is_ignored(tmp_path: Path, text: str) -> None:
    write(tmp_path / "cpu.max", text)
    assert list(quotas("0::/\n", str(tmp_path))) == []


def test_nothing_known_sets_no_limit() -> None:
    assert list(quotas("", "/nowhere")) == []
