"""What goes wrong inside the service, and what `systemctl status` and the journal say about it."""

from typing import Final

import pytest

from tests.process.waiting import until
from tests.systemd.machine import BIN, UNIT, Machine

CONFIG: Final = "/etc/prefork/hello.toml"
OVERRIDE: Final = "/etc/systemd/system/prefork-hello.service.d/override.conf"
START: Final = f"{BIN}/prefork-hello --config {CONFIG}"


def install(machine: Machine, toml: str, *settings: str, under: str = "") -> None:
    """Install the hello with a configuration and with settings of its unit, `under` a script of the tests."""
    machine.write("/root/hello.toml", toml)
    lines = [f"ExecStart=\nExecStart={BIN}/python /opt/tests/tests/{under} {START}" if under else "", *settings]
    machine.write(OVERRIDE, "\n".join(["[Service]", "Environment=PYTHONDONTWRITEBYTECODE=1", *lines, ""]))
    machine.ask(f"{BIN}/prefork service install --config hello.toml")


def test_a_worker_that_hangs_is_replaced_and_the_journal_has_its_stack(machine: Machine) -> None:
    install(machine, 'workers = 2\naccept = "shared"\nhang_timeout = "1s"', under="process/blocking.py")
    before = machine.main_pid()
    machine.ask("curl -sS --max-time 20 http://127.0.0.1:8080/sleep?seconds=3600 || true")
    until(lambda: len(machine.workers()) == 2, "another worker")
    assert machine.main_pid() == before
    log = machine.log()
    assert 'request="GET /sleep?seconds=3600"' in log
    assert "in application" in log
    assert 'reason="hang_timeout passed"' in log
    assert machine.get(8080) == "Hello, world!"
    assert "Active: active (running)" in machine.status()


def test_workers_that_fail_at_the_start_end_in_a_failed_service_that_says_so(machine: Machine) -> None:
    limits = ("RestartSec=0", "[Unit]", "StartLimitBurst=3")
    install(machine, "workers = 2", *limits, under="systemd/failing.py")
    until(lambda: machine.property("SubState") == "failed", "the end of the last start")
    assert machine.log().count("gave up: 3 workers in a row failed: exit status 3") == 3
    machine.wait_for_status("Start request repeated too quickly.")
    assert "(code=exited, status=70" in machine.status()


def test_workers_that_are_killed_are_replaced_by_the_master(machine: Machine) -> None:
    install(machine, "workers = 3")
    before, workers = machine.main_pid(), machine.workers()
    assert len(workers) == 3
    machine.run(f"kill -KILL {' '.join(map(str, workers))}")
    until(lambda: len(set(machine.workers()) - set(workers)) == 3, "three new workers")
    assert machine.main_pid() == before
    assert machine.get() == "Hello, world!"
    assert machine.log().count('reason="killed by SIGKILL"') >= 3


def test_a_master_that_hangs_is_ended_with_its_stack_in_the_journal_and_nobody_is_refused(machine: Machine) -> None:
    install(machine, "workers = 2", "WatchdogSec=4", "RestartSec=2")
    before = machine.main_pid()
    with machine.load() as counted:
        machine.run(f"mv {CONFIG} /root/good.toml; mkfifo {CONFIG}; sleep 60 3<>{CONFIG} >/dev/null 2>&1 &")
        machine.run(f"systemctl reload --no-block {UNIT}")  # which waits for what nobody writes
        machine.wait_for_log("Watchdog timeout (limit 4s)!")
        machine.run(f"mv /root/good.toml {CONFIG}")
        until(lambda: machine.serves_anew(before), "another main process to be ready")
        assert machine.get() == "Hello, world!"
    assert counted["REFUSED"] == 0, counted
    log = machine.log()
    assert "most recent call first" in log
    assert " in read_file" in log
    assert "status=6/ABRT" in log


def test_a_worker_that_takes_too_much_memory_is_killed_alone(machine: Machine) -> None:
    if "memory" not in machine.run("cat /sys/fs/cgroup/cgroup.controllers"):
        pytest.skip("the memory controller is not in cgroup2 here: MemoryMax= is not enforced")
    install(machine, "workers = 2", "MemoryMax=200M", "MemorySwapMax=0", under="systemd/hungry.py")
    before = machine.main_pid()
    machine.ask("curl -sS --max-time 20 http://127.0.0.1:8080/eat || true")
    machine.wait_for_log('reason="killed by SIGKILL, out of memory')
    until(lambda: len(machine.workers()) == 2, "another worker")
    assert machine.main_pid() == before
    assert machine.get() == "Hello, world!"
    assert "Active: active (running)" in machine.status()


def test_a_port_that_is_taken_is_named_and_tried_again_until_it_is_free(machine: Machine) -> None:
    install(machine, "workers = 1", "RestartSec=100ms", "[Unit]", "StartLimitIntervalSec=0")
    machine.run(f"systemctl stop {UNIT}")
    other = f"[Service]\nExecStart={BIN}/python -m http.server --bind 127.0.0.1 8080\n"
    machine.write("/etc/systemd/system/other.service", other)
    machine.run("systemctl start other; until curl -sS http://127.0.0.1:8080/ >/dev/null; do sleep 0.05; done")
    assert machine.ask(f"systemctl start {UNIT}").status == 1
    machine.wait_for_log("prefork-hello: error: 127.0.0.1:8080: address in use")
    machine.run("systemctl stop other")
    machine.wait_until_active()
    assert machine.get() == "Hello, world!"
