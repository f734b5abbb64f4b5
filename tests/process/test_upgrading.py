"""USR2: another version takes the service over in the same process, or it doesn't, and nothing changes."""

import os
import re
import socket
from pathlib import Path
from signal import SIGHUP, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from prefork.version import VERSION
from tests.process import proc
from tests.process.clients import HALF_A_HEAD, Load
from tests.process.hello import ANY_PORT, Hello
from tests.process.installing import HELD, NEXT, Installation
from tests.process.starting import Start
from tests.process.test_daemon import is_locked
from tests.process.waiting import until


def upgrade(hello: Hello) -> str:
    """Have it upgraded, and return the line of the log that says so."""
    before = len(hello.log)
    hello.signal(SIGUSR2)
    hello.wait_for_log("\n", hello.wait_for_log(" upgraded ", before))
    (line,) = re.findall(r"upgraded .*", hello.log[before:])
    return str(line)


def failed_upgrade(hello: Hello) -> str:
    """Have an upgrade fail, and return the line of the log that says why."""
    before = len(hello.log)
    hello.signal(SIGUSR2)
    hello.wait_for_log("\n", hello.wait_for_log(" upgrade failed ", before))
    (line,) = re.findall(r" error .*\] (upgrade failed .*)", hello.log[before:])
    return str(line)


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_an_upgrade_under_load_loses_nothing_and_keeps_pid_and_connections(
    start: Start, installed: Installation, accept: str
) -> None:
    toml = f'workers = 2\naccept = "{accept}"\nheader_timeout = 60\nkeep_alive_timeout = 60'
    hello = start(toml, bind=(*ANY_PORT, "unix:hello.sock"), environ=installed.environ)
    tcp, unix = hello.addresses
    idle = [hello.connect(address) for address in (tcp, unix) * 20]
    assert {each.ask().status for each in idle} == {200}
    half = hello.connect()
    half.send(HALF_A_HEAD)
    installed.replace()
    with Load(hello.connect) as load, Load(lambda: hello.connect(unix)) as unix_load:
        load.wait_for_more()
        line = upgrade(hello)
        load.wait_for_more()
        unix_load.wait_for_more()
    assert line.startswith(f"upgraded from={VERSION} to={NEXT} generation=2 workers=2 ")
    assert load.lost == unix_load.lost == []
    assert {each.ask().status for each in idle} == {200}
    half.send(b"alhost\r\n\r\n")
    assert half.answer().status == 200
    hello.wait_for_workers(2, without=hello.descriptors)


def test_after_an_upgrade_the_configuration_is_the_present_one(start: Start, installed: Installation) -> None:
    hello = start("workers = 1", environ=installed.environ)
    configuration = 'workers = 3\nunix_mode = "0600"\n[hello]\nbody = "new"'
    hello.rewrite(configuration)
    installed.replace()
    upgrade(hello)
    assert hello.get().text == "new"
    hello.reload(configuration)
    assert hello.log.count("takes effect at the next restart key=unix_mode") == 2
    hello.wait_for_workers(3, without=hello.descriptors)


BROKEN = [
    ({"worker_worker": "def broken(:\n"}, r"SyntaxError: .*"),
    ({"run_program": "import no_such_module\n"}, r"\"ModuleNotFoundError: .*no_such_module.*"),
    ({"cli": "import os\nos._exit(3)\n"}, r"\"exit status 3\""),
    ({"master_state": "FORMAT = 99\n"}, r".*version 0\.\d+\.\d+ wrote format \d, 99\.0 reads 99; restart .*"),
    ({"config_schema": "time\n"}, r".*NameError: .*"),
]


@pytest.mark.parametrize(("code", "reason"), BROKEN, ids=["syntax", "import", "exit", "format", "name"])
def test_a_version_that_fails_its_trial_changes_nothing_and_says_why(
    start: Start, installed: Installation, code: dict[str, str], reason: str
) -> None:
    hello = start("workers = 2", environ=installed.environ)
    before = proc.descriptors(hello.master_pid)
    installed.replace(NEXT, **code)
    with Load(hello.connect) as load:
        line = failed_upgrade(hello)
        load.wait_for_more()
    assert re.fullmatch(rf'upgrade failed kept=1 reason="?{reason}', line), line
    assert load.lost == []
    assert hello.worker_pids() == set(hello.descriptors)
    until(lambda: proc.descriptors(hello.master_pid) == before, "the master's descriptors")


def test_a_broken_configuration_fails_the_trial(start: Start, installed: Installation) -> None:
    hello = start("workers = 1", environ=installed.environ)
    hello.rewrite('workers = "many"')
    installed.replace()
    assert 'kept=1 reason="hello.toml:2: workers: expected ' in failed_upgrade(hello)
    assert hello.worker_pids() == set(hello.descriptors)


def test_a_trial_that_hangs_ends_at_boot_timeout(start: Start, installed: Installation) -> None:
    hello = start("workers = 1\nboot_timeout = 2", environ=installed.environ)
    installed.replace(NEXT, cli=HELD)
    assert failed_upgrade(hello) == 'upgrade failed kept=1 reason="boot_timeout passed"'
    assert hello.worker_pids() == set(hello.descriptors)


def test_workers_of_the_new_version_that_fail_leave_the_old_ones_and_the_next_version_can_follow(
    start: Start, installed: Installation
) -> None:
    hello = start("workers = 2", environ=installed.environ)
    idle = hello.connect()
    assert idle.ask().status == 200
    installed.replace("50.0", worker_worker="import os\nWorker.run = lambda self: os._exit(3)\n")
    with Load(hello.connect) as load:
        assert failed_upgrade(hello) == 'upgrade failed generation=2 kept=1 reason="exit status 3"'
        load.wait_for_more()
        assert hello.worker_pids() == set(hello.descriptors)
        installed.replace()
        assert upgrade(hello).startswith(f"upgraded from=50.0 to={NEXT} generation=3 ")
        load.wait_for_more()
    assert load.lost == []
    assert idle.ask().status == 200


def test_an_upgrade_during_a_reload_follows_it(start: Start, installed: Installation) -> None:
    hello = start("workers = 4", environ=installed.environ)
    installed.replace()
    hello.signal(SIGHUP)
    hello.wait_for_log(" reloading generation=2")
    upgrade(hello)
    assert hello.log.index(" reloaded generation=2") < hello.log.index(
        f" upgraded from={VERSION} to={NEXT} generation=3"
    )


def test_a_reload_during_the_trial_is_done_first(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", environ=installed.environ)
    installed.replace(NEXT, cli=HELD)
    hello.signal(SIGUSR2)
    hello.wait_for_log("signal name=SIGUSR2")
    hello.reload('workers = 2\n[hello]\nbody = "new"')
    hello.let_go()
    hello.wait_for_log(f" upgraded from={VERSION} to={NEXT} generation=3")
    assert hello.get().text == "new"


def test_a_reload_that_is_asked_for_while_the_workers_are_replaced_comes_next(
    start: Start, installed: Installation
) -> None:
    hello = start("workers = 2", environ=installed.environ)
    installed.replace()
    hello.signal(SIGUSR2)
    hello.wait_for_log(" upgrading ")
    hello.signal(SIGHUP)
    hello.wait_for_log(" reloaded generation=3 ", hello.wait_for_log(" upgraded "))


def test_no_signal_is_lost_or_fatal_while_one_program_becomes_the_other(start: Start, installed: Installation) -> None:
    hello = start("workers = 1", environ=installed.environ)
    installed.replace()
    hello.signal(SIGUSR2)
    while " upgraded " not in hello.log:
        before = len(hello.log)
        hello.signal(SIGUSR1)
        hello.wait_for_log("signal name=SIGUSR1", before)


def test_term_during_the_trial_ends_both(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", environ=installed.environ)
    installed.replace(NEXT, cli=HELD)
    hello.signal(SIGUSR2)
    hello.wait_for_log("signal name=SIGUSR2")
    assert hello.stop(SIGTERM) == 0
    assert 'upgrade failed kept=1 reason="the service is stopping"' in hello.log


def test_a_second_upgrade_during_the_trial_is_ignored(start: Start, installed: Installation) -> None:
    hello = start("workers = 1", environ=installed.environ)
    installed.replace(NEXT, cli=HELD)
    hello.signal(SIGUSR2)
    hello.wait_for_log("signal name=SIGUSR2")
    hello.signal(SIGUSR2)
    hello.wait_for_log('upgrade ignored reason="another is under way"')
    hello.let_go()
    hello.wait_for_log(" upgraded ")


def test_a_daemon_keeps_its_pid_file_locked_its_streams_and_its_log(
    start: Start, installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", installed.environ["PYTHONPATH"])
    hello = start.daemon('workers = 1\naccess_log = "access.log"')
    path = hello.folder / "hello.pid"
    installed.replace()
    upgrade(hello)
    assert path.read_text() == f"{hello.master_pid}\n"
    assert is_locked(path)
    for pid in (hello.master_pid, *hello.wait_for_workers(1, without=hello.descriptors)):
        streams = [proc.descriptors(pid)[number] for number in range(3)]
        assert streams == [os.devnull, os.devnull, str(hello.folder / "hello.log")]
    assert hello.get("/after").status_code == 200
    until(lambda: "GET /after" in (hello.folder / "access.log").read_text(), "the access log")
    assert proc.title(hello.master_pid) == "prefork-hello: master [hello.toml]"
    assert hello.stop() == 0
    assert not path.exists()


def test_an_upgrade_is_told_to_the_service_manager(start: Start, installed: Installation, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(15)
        environ = {**installed.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        hello = start("workers = 1", environ=environ)
        assert heard_until_ready(manager) == ["READY=1"]
        upgrade(hello)
        assert heard_until_ready(manager) == ["RELOADING=1", "READY=1"]


def heard_until_ready(manager: socket.socket) -> list[str]:
    """Return what the service manager is told up to READY=1, but for lines for people and requests for time."""
    told: list[str] = []
    while "READY=1" not in told:
        state = manager.recv(4096).decode().partition("\n")[0]
        told += [] if state.startswith(("STATUS=", "EXTEND_TIMEOUT_USEC=")) else [state]
    return told
