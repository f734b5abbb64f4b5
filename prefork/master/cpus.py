"""Counts the CPUs that this process may use: `workers = "auto"`.

The count of the machine is not the answer: affinity may allow fewer, and a container's quota fewer still (cgroups(7),
sched_getaffinity(2)). What can't be read sets no limit.
"""

import os
from collections.abc import Iterator

from prefork.kernel import cgroups, read


def allowed_cpus() -> int:
    """Return how many CPUs affinity and the cgroups' quotas leave to this process, at least 1."""
    limits = quotas(read("/proc/self/cgroup"), "/sys/fs/cgroup")
    return max(1, min([len(os.sched_getaffinity(0)), *limits]))


def quotas(membership: str, folder: str) -> Iterator[int]:
    """Yield the quota of every cgroup that `membership` names and of all above it, in whole CPUs rounded up.

    `membership` is the text of /proc/PID/cgroup, `folder` where the hierarchies are mounted. A container may see the
    path of its host there, which doesn't exist in its own mount: the mount's root is then the container's cgroup.
    """
    for controllers, path in cgroups(membership):
        if controllers and "cpu" not in controllers.split(","):
            continue
        for cgroup in _with_ancestors(path):
            quota = _v1_quota(f"{folder}/{controllers}{cgroup}") if controllers else _v2_quota(f"{folder}{cgroup}")
            if quota is not None:
                yield quota


def _with_ancestors(path: str) -> Iterator[str]:
    """Yield `/a/b`, `/a` and the root, which is the empty string."""
    while path.strip("/"):
        yield path
        path = path.rpartition("/")[0]
    yield ""


def _v2_quota(cgroup: str) -> int | None:
    return _whole_cpus(*read(f"{cgroup}/cpu.max").split())


def _v1_quota(cgroup: str) -> int | None:
    return _whole_cpus(read(f"{cgroup}/cpu.cfs_quota_us").strip(), read(f"{cgroup}/cpu.cfs_period_us").strip())


def _whole_cpus(quota: str = "max", period: str = "") -> int | None:
    """Round up: with 1.5 CPUs, two workers use them best. v2 says "max" for no quota, v1 says "-1"."""
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None
    return -(-int(quota) // int(period))
