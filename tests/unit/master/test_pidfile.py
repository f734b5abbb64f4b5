"""The lock that keeps a second instance out, with real files and processes."""

import os
import resource
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from prefork.master.errors import StartError
from prefork.master.pidfile import PidFile
from tests.unit.children import in_child
from tests.unit.descriptors import open_descriptors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prefork.pid"


def refusal(path: Path) -> StartError:
    with pytest.raises(StartError) as refused:
        PidFile(str(path)).acquire()
    return refused.value


def test_the_file_holds_the_pid_until_it_is_released(path: Path) -> None:
    before = open_descriptors()
    pid_file = PidFile(str(path))
    pid_file.acquire()
    pid_file.write(812)
    assert path.read_text() == "812\n"
    pid_file.release()
    assert not path.exists()
    assert open_descriptors() == before


def test_a_pid_that_there_is_no_room_for_is_refused_with_73(path: Path) -> None:
    pid_file = PidFile(str(path))
    pid_file.acquire()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(StartError, match="can't be written: File too large; make room") as refused:
            pid_file.write(812)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.value.status == os.EX_CANTCREAT
    pid_file.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a moment")
def test_a_file_and_a_folder_of_somebody_else_serve_where_the_file_may_be_written() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "prefork.pid")
        path.touch()
        path.chmod(0o666)
        path.parent.chmod(0o755)
        pid_file = PidFile(str(path))
        os.seteuid(65534)
        try:
            pid_file.acquire()
            pid_file.write(812)
            assert path.read_text() == "812\n"
            pid_file.release()
        finally:
            os.seteuid(0)
        assert path.exists()


@pytest.mark.parametrize("is_left_over", [False, True])
def test_nobody_else_may_read_it_and_so_lock_it(path: Path, *, is_left_over: bool) -> None:
    if is_left_over:
        path.touch(0o644)
    pid_file = PidFile(str(path))
    pid_file.acquire()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pid_file.release()


def test_a_second_start_is_refused_with_the_pid_of_the_first(path: Path) -> None:
    first = PidFile(str(path))
    first.acquire()
    first.write(812)
    before = open_descriptors()
    refused = refusal(path)
    assert refused.status == os.EX_TEMPFAIL
    assert str(refused) == f"pid_file {path}: already running as pid 812; stop that one first"
    assert open_descriptors() == before
    assert path.read_text() == "812\n"
    first.release()


def test_a_second_start_before_the_first_has_a_pid_is_refused_too(path: Path) -> None:
    path.write_text("4711\n")
    first = PidFile(str(path))
    first.acquire()
    assert str(refusal(path)) == f"pid_file {path}: another instance is starting; stop that one first"
    first.release()


def test_a_stale_file_does_not_matter_even_if_its_pid_lives(path: Path) -> None:
    path.write_text(f"{os.getpid()} and more\n")
    pid_file = PidFile(str(path))
    pid_file.acquire()
    pid_file.write(7)
    assert path.read_text() == "7\n"
    pid_file.release()


def test_the_pid_may_be_written_again_and_shorter(path: Path) -> None:
    pid_file = PidFile(str(path))
    pid_file.acquire()
    pid_file.write(100_000)
    pid_file.write(99)
    assert path.read_text() == "99\n"
    pid_file.release()


@pytest.mark.parametrize("target", ["missing/prefork.pid", "link"])
def test_a_file_that_can_not_be_created_is_refused_with_73(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    refused = refusal(tmp_path / target)
    assert refused.status == os.EX_CANTCREAT
    assert str(refused).startswith(f"pid_file {tmp_path / target}: can't be created: ")
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_has_another_name_is_refused_with_73_and_not_emptied(path: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    path.hardlink_to(tmp_path / "precious")
    before = open_descriptors()
    with pytest.raises(StartError, match="not a regular file of one name") as refused:
        PidFile(str(path)).acquire()
    assert refused.value.status == 73
    assert path.read_text() == "kept"
    assert open_descriptors() == before


def test_what_is_no_file_is_refused_with_73_and_left_alone(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(StartError, match="not a regular file of one name") as refused:
        PidFile(str(path)).acquire()
    assert refused.value.status == 73
    assert path.is_fifo()


def test_the_lock_outlives_a_child_that_closed_its_copy(path: Path) -> None:
    pid_file = PidFile(str(path))
    pid_file.acquire()

    in_child(lambda: os.close(pid_file.fd))
    assert refusal(path).status == os.EX_TEMPFAIL
    pid_file.release()


def test_the_lock_ends_with_its_process(path: Path) -> None:
    in_child(PidFile(str(path)).acquire)  # and never released
    pid_file = PidFile(str(path))
    pid_file.acquire()
    pid_file.release()


def test_a_file_that_somebody_else_put_in_our_place_is_not_unlinked(path: Path) -> None:
    pid_file = PidFile(str(path))
    pid_file.acquire()
    path.unlink()
    path.write_text("4711\n")
    pid_file.release()
    assert path.read_text() == "4711\n"


def test_a_file_that_was_removed_meanwhile_is_no_trouble_at_the_end(path: Path) -> None:
    pid_file = PidFile(str(path))
    pid_file.acquire()
    path.unlink()
    pid_file.release()
    assert not path.exists()


def test_a_file_that_its_owner_unlinks_between_our_open_and_our_lock_is_opened_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    real_open = os.open

    def open_and_lose_the_race(name: str, flags: int, mode: int) -> int:
        opened.append(real_open(name, flags, mode))
        if len(opened) == 1:
            path.unlink()
        return opened[-1]

    before = open_descriptors()
    monkeypatch.setattr(os, "open", open_and_lose_the_race)
    pid_file = PidFile(str(path))
    pid_file.acquire()
    monkeypatch.undo()
    assert len(opened) == 2
    assert refusal(path).status == os.EX_TEMPFAIL
    pid_file.release()
    assert open_descriptors() == before
