"""What is read of the kernel's small files."""

from pathlib import Path

from prefork.kernel import cgroups, read


def test_a_file_that_can_not_be_read_is_empty(tmp_path: Path) -> None:
    assert read(str(tmp_path / "missing")) == ""


def test_a_process_is_in_a_cgroup_of_each_hierarchy_whose_path_may_have_colons() -> None:
    membership = "12:cpu,cpuacct:/a\n0::/system.slice/b:c.service\n"
    assert list(cgroups(membership)) == [("cpu,cpuacct", "/a"), ("", "/system.slice/b:c.service")]
