"""`prefork service install` and `prefork service remove`, as root gives them on a machine with systemd."""

from typing import Final

from prefork.service.seal import sealed
from tests.systemd.machine import BIN, UNIT, Machine

PREFORK: Final = f"{BIN}/prefork"
UNITS: Final = "/etc/systemd/system"
SERVICE: Final = f"{UNITS}/prefork-hello.service"
SOCKET: Final = f"{UNITS}/prefork-hello.socket"
DROP_IN: Final = f"{UNITS}/prefork-hello.service.d/socket.conf"
CONFIG: Final = "/etc/prefork/hello.toml"


def test_one_command_installs_the_hello_and_tells_where_it_serves_and_one_removes_it(machine: Machine) -> None:
    assert machine.run(f"{PREFORK} service install").splitlines() == [
        f"write {CONFIG}",
        f"write {SERVICE}",
        "run systemctl daemon-reload",
        f"run systemctl enable --now {UNIT}",
        "prefork-hello serves at 0.0.0.0:8080",
    ]
    assert machine.get() == "Hello, world!"
    assert machine.run(f"systemctl is-active {UNIT}; systemctl is-enabled {UNIT}").split() == ["active", "enabled"]
    assert machine.property("ExecStart").startswith(f"{{ path={BIN}/prefork-hello ; ")
    assert machine.run(f"systemd-analyze verify --man=no {UNIT}") == ""
    before = machine.main_pid()
    assert machine.run(f"{PREFORK} service install").splitlines() == [
        f"keep {CONFIG}: it is the configuration",
        "run systemctl daemon-reload",
        f"run systemctl enable --now {UNIT}",
        "prefork-hello serves at 0.0.0.0:8080",
    ]
    assert machine.main_pid() == before
    assert machine.run(f"{PREFORK} service remove").splitlines() == [
        f"run systemctl disable --now {UNIT}",
        f"remove {SERVICE}",
        "run systemctl daemon-reload",
        f"run systemctl reset-failed {UNIT}",
        f"keep {CONFIG}: the configuration is yours",
        "prefork-hello is removed",
    ]
    assert machine.property("LoadState") == "not-found"
    assert (
        machine.run(f"find {UNITS} -name '*prefork*'; ls /etc/prefork; pgrep prefork-hello || true") == "hello.toml\n"
    )
    assert machine.ask(f"{PREFORK} service remove") == (69, f"prefork: error: {SERVICE}: there is no such service\n")


def test_the_sockets_can_be_left_to_systemd_and_be_taken_back(machine: Machine) -> None:
    machine.run(f"{PREFORK} service install")
    said = machine.run(f"{PREFORK} service install --socket").splitlines()
    assert said == [
        f"run systemctl stop {UNIT}",
        f"keep {CONFIG}: it is the configuration",
        f"write {SOCKET}",
        f"write {DROP_IN}",
        "run systemctl daemon-reload",
        f"run systemctl enable --now prefork-hello.socket {UNIT}",
        "prefork-hello serves at 0.0.0.0:8080",
    ]
    assert machine.run(f"systemd-analyze verify --man=no {UNIT} prefork-hello.socket") == ""
    assert machine.property("PrivateNetwork") == "yes"
    machine.run(f"systemctl stop {UNIT}")
    assert machine.get() == "Hello, world!"
    machine.wait_until_active()
    machine.run(f"{PREFORK} service install")
    assert machine.property("PrivateNetwork") == "no"
    assert machine.get() == "Hello, world!"
    machine.run(f"{PREFORK} service install --socket; {PREFORK} service remove")
    assert machine.run(f"find {UNITS} -name '*prefork*'; ss -Htln") == ""
    machine.run(f"sed -i 's/^bind = .*/bind = \"unix:x\"/' {CONFIG}")
    status, said_once = machine.ask(f"{PREFORK} service install --socket")
    assert status == 78
    assert said_once.startswith(f"prefork: error: {CONFIG}: bind: expected IP addresses with ports, and whole paths, ")


def test_a_dry_run_prints_the_files_and_commands_and_does_nothing(machine: Machine) -> None:
    printed = machine.run(f"{PREFORK} service install --socket --dry-run")
    for step in (f"write {CONFIG}:\n", f"write {SERVICE}:\n", f"write {SOCKET}:\n", f"write {DROP_IN}:\n"):
        assert step in printed
    assert f"\nrun systemctl enable --now prefork-hello.socket {UNIT}\n" in printed
    assert machine.run(f"find {UNITS} -name '*prefork*'; ls /etc/prefork 2>/dev/null || true") == ""
    machine.run(f"{PREFORK} service install")
    printed = machine.run(f"{PREFORK} service remove --dry-run")
    assert printed.startswith(f"run systemctl disable --now {UNIT}\nremove {SERVICE}\n")
    assert machine.get() == "Hello, world!"


def test_what_somebody_changed_is_neither_overwritten_nor_removed(machine: Machine) -> None:
    machine.run(f"{PREFORK} service install; echo LimitNOFILE=9 >>{SERVICE}")
    changed = machine.run(f"cat {SERVICE}")
    for command in ("install", "install --socket", "remove"):
        status, said = machine.ask(f"{PREFORK} service {command}")
        assert (status, said.count("\n")) == (73, 1)
        assert said.startswith(f"prefork: error: {SERVICE}: was not written by this command, or was changed since; ")
    assert machine.run(f"cat {SERVICE}") == changed
    assert machine.get() == "Hello, world!"
    machine.write("/root/mine.toml", "workers = 1\n")
    machine.run(f"rm {SERVICE}")
    status, said = machine.ask(f"{PREFORK} service install --config mine.toml")
    assert (status, said.startswith(f"prefork: error: {CONFIG}: there is another configuration already; ")) == (
        73,
        True,
    )


def test_a_file_of_an_older_version_is_replaced_and_the_service_restarted(machine: Machine) -> None:
    machine.run(f"{PREFORK} service install")
    before = machine.main_pid()
    _, _, text = machine.run(f"cat {SERVICE}").partition("\n")
    machine.write(SERVICE, sealed(text.replace("WatchdogSec", "# WatchdogSec")))
    machine.run("systemctl daemon-reload")
    said = machine.run(f"{PREFORK} service install").splitlines()
    assert f"write {SERVICE}" in said
    assert f"run systemctl restart {UNIT}" in said
    assert machine.main_pid() != before
    assert machine.get() == "Hello, world!"


def test_a_mistake_is_one_line_before_anything_is_done(machine: Machine) -> None:
    machine.write("/root/bad.toml", 'workers = "many"\n')
    mistakes = {
        "install --config bad.toml": (78, "bad.toml:1: workers: expected a whole number"),
        "install --config none.toml": (66, "none.toml: cannot be read: no such file or directory"),
        "install shop": (66, "/etc/prefork/shop.toml: there is no such file; write it, or name another by --config"),
        "install ../x": (64, 'NAME: expected up to 64 letters, digits, -, _ and ., got "../x"'),
        "remove shop": (69, f"{UNITS}/prefork-shop.service: there is no such service"),
    }
    for command, (status, problem) in mistakes.items():
        ended = machine.ask(f"{PREFORK} service {command}")
        assert (ended.status, ended.output.count("\n")) == (status, 1), ended
        assert ended.output.startswith(f"prefork: error: {problem}")
    user = "setpriv --reuid nobody --regid nogroup --clear-groups"
    status, said = machine.ask(f"cd /; {user} {PREFORK} service install")
    assert (status, said.startswith("prefork: error: only root can install and remove services; ")) == (77, True)
    assert machine.run(f"cd /; {user} {PREFORK} service install --dry-run").startswith("write /etc/prefork/hello.toml:")
    status, said = machine.ask("cp -a /opt/prefork /root/prefork; /root/prefork/bin/python -m prefork service install")
    assert (status, said.startswith("prefork: error: /root/prefork: no service sees what is below ")) == (78, True)
    assert machine.run(f"find {UNITS} -name '*prefork*'") == ""


def test_a_service_that_does_not_start_is_told_with_its_own_reason(machine: Machine) -> None:
    machine.write("/root/taken.toml", 'workers = 1\nbind = "127.0.0.1:8080"\nuser = "nobody"\n')
    status, said = machine.ask(f"{PREFORK} service install --config taken.toml")
    assert status == 1
    *steps, last = said.splitlines()
    assert steps == [f"write {CONFIG}", f"write {SERVICE}", "run systemctl daemon-reload"]
    assert last.startswith(f"prefork: error: systemctl enable --now {UNIT}: user, group: only root ")
    assert last.endswith("; see systemctl status prefork-hello")
