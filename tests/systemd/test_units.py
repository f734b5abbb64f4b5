"""The units of the folder systemd, installed by hand: systemd finds no fault in them, and they leave little open."""

from typing import Final

from tests.systemd.machine import BIN, Machine

# As the README has it, with all that the folder holds.
BY_HAND: Final = """
cd /opt/source
install -Dm644 config/hello.toml -t /etc/prefork
install -m644 systemd/*.service systemd/*.socket -t /etc/systemd/system
systemctl daemon-reload
"""
# Each in a line, for with a "&&" a shell would overlook what fails.
SOCKET: Final = """
install -Dm644 systemd/socket.conf -t /etc/systemd/system/prefork-hello.service.d
install -Dm644 systemd/socket.conf -t /etc/systemd/system/prefork@.service.d
systemctl daemon-reload
"""
UNITS: Final = "prefork-hello.service prefork@shop.service prefork-hello.socket prefork@shop.socket"


def exposure(machine: Machine, unit: str) -> float:
    """Return what systemd says how exposed a unit is, from 0 to 10."""
    said = machine.run(f"systemd-analyze security --offline=true --no-pager {unit} | tail -1")
    return float(said.rpartition(": ")[2].split()[0])


def test_units_are_clean_and_leave_little_open_and_less_with_the_sockets_of_systemd(machine: Machine) -> None:
    machine.run(BY_HAND)
    assert machine.run(f"systemd-analyze verify --man=no {UNITS}") == ""
    assert exposure(machine, "prefork-hello.service") <= 1.1
    assert exposure(machine, "prefork@shop.service") <= 1.1
    machine.run(f"cd /opt/source; {SOCKET}")
    assert machine.run(f"systemd-analyze verify --man=no {UNITS}") == ""
    assert exposure(machine, "prefork-hello.service") <= 0.2
    assert exposure(machine, "prefork@shop.service") <= 0.2


def test_drop_ins_allow_a_low_port_and_forbid_other_machines(machine: Machine) -> None:
    machine.run(BY_HAND)
    machine.run("sed -i 's/^bind = .*/bind = \"127.0.0.1:80\"/' /etc/prefork/hello.toml")
    assert machine.ask("systemctl start prefork-hello").status == 1
    machine.wait_for_status("prefork-hello: error: 127.0.0.1:80: ")
    lines = [
        "[Service]", "IPAddressDeny=any", "IPAddressAllow=localhost", "PrivateUsers=no",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "",
    ]  # fmt: skip
    machine.write("/etc/systemd/system/prefork-hello.service.d/override.conf", "\n".join(lines[:3]))
    machine.run("systemctl daemon-reload")
    assert exposure(machine, "prefork-hello.service") <= 0.9
    machine.write("/etc/systemd/system/prefork-hello.service.d/override.conf", "\n".join(lines))
    machine.run("systemctl daemon-reload; systemctl start prefork-hello")
    assert machine.get(80) == "Hello, world!"


def test_a_user_of_its_own_can_read_the_keys_of_tls_and_nobody_else(machine: Machine) -> None:
    machine.run(BY_HAND)
    machine.run(
        "install -Dm644 /opt/source/systemd/user.conf -t /etc/systemd/system/prefork-hello.service.d;"
        "install -Dm644 /opt/source/systemd/prefork.sysusers /usr/lib/sysusers.d/prefork.conf;"
        "install -Dm644 /opt/source/systemd/prefork.tmpfiles /usr/lib/tmpfiles.d/prefork.conf;"
        "install -m600 /dev/null /etc/prefork/example.org.key; systemctl daemon-reload;"
        "systemd-sysusers prefork.conf; systemd-tmpfiles --create prefork.conf"
    )
    assert machine.run("stat --format '%A %U %G' /etc/prefork/example.org.key") == "-rw-r----- root prefork\n"
    machine.run("systemctl start prefork-hello")
    assert machine.get() == "Hello, world!"
    assert machine.run(f"ps -o user= -p {machine.main_pid()}") == "prefork\n"
    machine.run("setpriv --reuid prefork --regid prefork --clear-groups test -r /etc/prefork/example.org.key")


def test_the_preset_enables_the_hello_alone(machine: Machine) -> None:
    machine.run(BY_HAND)
    machine.run("install -Dm644 /opt/source/systemd/90-prefork.preset -t /etc/systemd/system-preset")
    machine.run(f"systemctl preset {UNITS}")
    enabled = machine.ask(f"systemctl is-enabled {UNITS}").output.split()
    assert enabled == ["enabled", "disabled", "disabled", "disabled"]


def test_the_commands_find_the_service_that_was_installed_by_hand(machine: Machine) -> None:
    machine.run(f"{BY_HAND} systemctl enable --now prefork-hello")
    assert machine.run(f"{BIN}/prefork status").startswith("prefork-hello ")
    machine.run(f"{BIN}/prefork health")
    machine.run("systemctl reload prefork-hello")
    assert "generation 2" in machine.status()
    machine.run("systemctl stop prefork-hello")
    assert machine.ask(f"{BIN}/prefork health").status == 1
