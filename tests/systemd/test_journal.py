"""What the journal knows of the service: priorities of its lines, and fields where it writes entries itself."""

from typing import Final

import pytest

from tests.process.waiting import until
from tests.systemd.machine import Machine

TOML: Final = 'bind = "127.0.0.1:8080"\nworkers = 1\n'
JOURNALD: Final = 'log = "journald"\naccess_log = "journald"\n'
CONFIG: Final = "/etc/prefork/hello.toml"


def test_lines_on_standard_error_have_priorities(machine: Machine) -> None:
    machine.install(TOML)
    machine.ask(f"echo 'workers = 0' >{CONFIG}; systemctl reload prefork-hello")
    machine.wait_for_log("reload failed generation=2 kept=1")
    messages = {
        entry["MESSAGE"]: int(entry["PRIORITY"]) for entry in machine.journal() if entry.get("_COMM") != "systemd"
    }
    (failed,) = {priority for text, priority in messages.items() if " reload failed " in text}
    (ready,) = {priority for text, priority in messages.items() if " worker ready " in text}
    assert (failed, ready) == (3, 6)


@pytest.mark.parametrize("options", ["", "--socket"])
def test_entries_have_fields_to_search_for(machine: Machine, options: str) -> None:
    machine.install(TOML + JOURNALD, options)
    machine.run("curl -sS http://127.0.0.1:8080/x >/dev/null; curl -sS -X BREW http://127.0.0.1:8080/ >/dev/null")
    of_clients = "prefork-hello", "REMOTE_ADDR=127.0.0.1"  # the log has the status of what was refused, too
    (refused,) = until(lambda: machine.journal(*of_clients, "STATUS=501"), "the entry of the second request")
    (served,) = machine.journal(*of_clients, "STATUS=200")
    assert (served["REQUEST"], refused["REQUEST"]) == ("GET /x HTTP/1.1", "BREW / HTTP/1.1")
    assert served["MESSAGE"].startswith("127.0.0.1 - - [")
    assert (served["WORKER"], served["GENERATION"]) == ("0", "1")
    assert served["SYSLOG_IDENTIFIER"] == "prefork-hello"
    ready = next(entry for entry in machine.journal() if "worker ready" in entry["MESSAGE"])
    assert (ready["PRIORITY"], ready["WORKER"], ready["GENERATION"]) == ("6", "0", "1")
    assert ready["CODE_FILE"].endswith(".py")
