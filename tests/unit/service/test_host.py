"""What is done to files, and where a service can be installed from."""

import os
import sys
from pathlib import Path

import pytest

import prefork
from prefork.ipc.client import CommandError
from prefork.service import host
from prefork.service.plan import Action, Delete, Systemctl, Write

ROOT = Path(__file__).parents[3]


def test_the_package_has_the_units_and_samples_of_the_repository() -> None:
    for folder, name in (("units", "systemd"), ("samples", "config")):
        found = {path.name: path.read_text() for path in (ROOT / name).iterdir() if path.is_file()}
        assert host.shipped(folder) == found


def test_a_file_is_written_whole_readable_by_all_and_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.service"
    before = os.umask(0o077)
    host.write(str(path), "text")
    os.umask(before)
    assert path.read_text() == "text"
    assert path.stat().st_mode & 0o777 == 0o644
    assert host.existing([str(path), str(tmp_path), str(path / "not")]) == {str(path): "text"}


def test_what_is_no_utf_8_is_written_as_it_was_read(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    ours.write_bytes(b"# caf\xe9\n")
    host.write(str(other), host.existing([str(ours)])[str(ours)])
    assert other.read_bytes() == ours.read_bytes()


def test_the_folder_of_all_units_stays_when_the_last_is_removed(tmp_path: Path) -> None:
    host.write(str(tmp_path / "units/x.service"), "")
    host.delete(str(tmp_path / "units/x.service"))
    assert os.listdir(tmp_path) == ["units"]


def test_a_folder_of_drop_ins_goes_with_its_last_file(tmp_path: Path) -> None:
    ours, other = tmp_path / "x.service.d/socket.conf", tmp_path / "x.service.d/override.conf"
    host.write(str(ours), "")
    host.write(str(other), "")
    host.delete(str(ours))
    assert os.listdir(tmp_path / "x.service.d") == ["override.conf"]
    host.delete(str(other))
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_written_or_removed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / "file/x.service")
    with pytest.raises(CommandError, match=f"{path}: can't be written: ") as written:
        host.write(path, "")
    with pytest.raises(CommandError, match=f"{path}: can't be removed: "):
        host.delete(path)
    assert written.value.status == 73


def test_a_dry_run_tells_each_step() -> None:
    steps: list[Action] = ["keep /a: why", Write("/b", "text\n"), Delete("/c"), Systemctl(("daemon-reload",))]
    assert list(host.told(steps)) == ["keep /a: why", "write /b:\ntext\n", "remove /c", "run systemctl daemon-reload"]


@pytest.mark.parametrize("prefix", ["/home/me/venv", "/root/venv", "/tmp/venv", "/opt/my venv", "/opt/100%"])
def test_an_environment_that_no_unit_can_name_or_reach_is_refused(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(prefork, "__path__", ["/opt/prefork"])
    with pytest.raises(CommandError, match=f"^{prefix}: ") as refused:
        host.bin_folder()
    assert refused.value.status == 78


def test_an_environment_elsewhere_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/srv/shop")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(prefork, "__path__", ["/srv/shop/lib/prefork"])
    assert host.bin_folder() == "/srv/shop/bin"
