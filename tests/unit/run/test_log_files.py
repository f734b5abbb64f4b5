"""Where is logged, by a configuration."""

import os
from pathlib import Path

import pytest

from prefork.config.schema import Config
from prefork.logs.journal import SOCKET, Journal
from prefork.logs.log import Log
from prefork.master.errors import StartError
from prefork.run.log_files import follow, journal_of_worker, open_files, open_next_files


def test_files_stay_the_same_where_both_paths_do() -> None:
    files = open_files(Config())
    assert open_next_files(Config(workers=7), Config(), files) is files
    assert open_next_files(Config(access_log="-"), Config(), files) is not files
    files.close()


def test_no_access_log_and_one_on_stdout_need_no_file() -> None:
    assert open_files(Config()).access_fd is None
    on_stdout = open_files(Config(access_log="-"))
    assert (on_stdout.access_fd, on_stdout.paths) == (1, {})
    on_stdout.close()
    assert os.fstat(1)


def test_a_log_file_that_can_not_be_opened_is_a_reason_not_to_start(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "access.log"
    with pytest.raises(
        StartError, match=f"log file {path}: can't be opened: No such file or directory; make its folder"
    ):
        open_files(Config(access_log=str(path)))


def test_a_pipe_that_nobody_reads_is_told_to_need_a_reader_and_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "log"
    os.mkfifo(path)
    with pytest.raises(StartError, match=r"No such device or address; start what reads it or choose another path$"):
        open_files(Config(access_log=str(path)))


def test_of_what_no_folder_would_mend_another_path_is_the_way(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"can't be opened: Is a directory; choose another path$"):
        open_files(Config(access_log=str(tmp_path)))


@pytest.mark.skipif(Path(SOCKET).exists(), reason="takes a machine without systemd's journal")
@pytest.mark.parametrize("config", [Config(log="journald"), Config(access_log="journald")])
def test_a_machine_without_a_journal_is_a_reason_not_to_start(config: Config) -> None:
    with pytest.raises(StartError, match=r"log to journald: there is no journal at /run/.*; choose a path or -"):
        open_files(config)


def test_the_log_goes_where_the_present_configuration_wants_it() -> None:
    log = Log("master", "info")

    def follows(config: Config) -> Journal | None:
        follow(log, config, "prefork-x")
        assert log.level == config.log_level
        return log.journal

    journal = follows(Config(log="journald", log_level="debug"))
    assert journal is not None
    assert journal.process == b"SYSLOG_IDENTIFIER=prefork-x\n"
    assert follows(Config(log="journald")) is journal
    assert follows(Config()) is None
    journal.close()


def test_a_worker_says_who_it_is_where_it_logs_to_the_journal() -> None:
    assert journal_of_worker(Config(), "prefork-x", 3, 2) is None
    for config in (Config(log="journald"), Config(access_log="journald")):
        journal = journal_of_worker(config, "prefork-x", 3, 2)
        assert journal is not None
        assert journal.process == b"SYSLOG_IDENTIFIER=prefork-x\nWORKER=3\nGENERATION=2\n"
        journal.close()
