"""What a service survives under systemd, with its own units, and what the journal says about it."""

from typing import Final

from tests.loss.tally import TROUBLES
from tests.process.waiting import until
from tests.systemd.machine import BIN, UNIT, Machine

LOST: Final = {outcome.name: 0 for outcome in TROUBLES}
CONFIG: Final = "/etc/prefork/hello.toml"


def test_a_reload_under_load_loses_nothing_and_a_bad_configuration_fails_with_the_reason(machine: Machine) -> None:
    machine.install('workers = 4\nkeep_alive_timeout = "1h"\n')
    before = machine.main_pid()
    with machine.load() as counted:
        machine.run(f"sed -i 's/^workers = .*/workers = 2/' {CONFIG}; systemctl reload prefork-hello")
        assert len(machine.workers()) == 2
        machine.run(f"sed -i 's/^workers = .*/workers = \"many\"/' {CONFIG}")
        failed = machine.ask("systemctl reload prefork-hello")
        status = machine.status()
    assert failed.status == 1, failed
    reason = 'workers: expected a whole number from 1 to 1024 or "auto", got "many"'
    assert reason in status
    assert "Active: active (running)" in status
    assert machine.main_pid() == before
    assert {name: counted[name] for name in LOST} == LOST
    assert counted["OK"] > 0
    machine.run(f"sed -i 's/^workers = .*/workers = 3/' {CONFIG}; systemctl reload prefork-hello")
    assert len(machine.workers()) == 3
    assert reason not in machine.property("StatusText")


def refusals(machine: Machine, action: str, *addresses: str) -> int:
    """Do what makes systemd start the service again, under load; return how many connections were refused."""
    before = machine.main_pid()
    with machine.load(*addresses) as counted:
        machine.run(action.format(pid=before))
        until(lambda: machine.serves_anew(before), "another main process to be ready")
        assert machine.get() == "Hello, world!"
    assert counted["OK"] > 0
    assert counted["WRONG"] == 0
    return counted["REFUSED"]


def test_no_connection_is_refused_when_the_master_is_killed_or_the_service_restarted(machine: Machine) -> None:
    machine.install('bind = ["127.0.0.1:8080", "unix:/run/prefork-hello/http"]\nworkers = 2\n')
    assert refusals(machine, "kill -KILL {pid}", "8080", "/run/prefork-hello/http") == 0
    assert refusals(machine, f"systemctl restart {UNIT}", "8080") == 0
    assert "code=killed, status=9/KILL" in machine.log()


def test_nor_is_one_where_systemd_has_bound_the_sockets(machine: Machine) -> None:
    machine.install('bind = ["127.0.0.1:8080", "unix:/run/http"]\nworkers = 2\n', "--socket")
    assert refusals(machine, "kill -KILL {pid}", "8080", "/run/http") == 0
    assert refusals(machine, f"systemctl restart {UNIT}", "8080", "/run/http") == 0


def test_a_stop_finishes_what_has_begun(machine: Machine) -> None:
    machine.run(f"{BIN}/prefork service install")
    answer = machine.run(
        "exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET / HTTP/1.1\\r\\nHost: ' >&3;"
        f"until {BIN}/prefork status --json | grep -q '\"connections\":1'; do sleep 0.01; done;"
        f"systemctl stop {UNIT} & stop=$!;"
        f"until [[ $(systemctl is-active {UNIT}) == deactivating ]]; do sleep 0.01; done;"
        "printf 'x\\r\\n\\r\\n' >&3; cat <&3; wait $stop"
    )
    assert answer.startswith("HTTP/1.1 200 OK\n")
    assert answer.endswith("Hello, world!")
    assert machine.property("Result") == "success"
    assert machine.property("ActiveState") == "inactive"


def test_a_bad_configuration_at_the_start_fails_at_once_and_is_not_tried_again(machine: Machine) -> None:
    machine.run(f"{BIN}/prefork service install; systemctl stop {UNIT}; echo 'workers = 0' >{CONFIG}")
    assert machine.ask(f"systemctl start {UNIT}").status == 1
    until(lambda: machine.property("ActiveState") == "failed", "the end of the start")
    assert machine.property("NRestarts") == "0"
    machine.wait_for_status(f"prefork-hello: error: {CONFIG}:1: workers: expected a whole number from 1 to 1024")
    assert "(code=exited, status=78" in machine.status()
