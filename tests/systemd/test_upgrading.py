"""pip installs another version into the environment of the service, which becomes that version under load."""

from pathlib import Path
from typing import Final

import pytest

from tests.loss.tally import TROUBLES
from tests.process.wheels import wheel
from tests.systemd.machine import BIN, UNIT, Machine

NEXT: Final = "99.0"
LOST: Final = {outcome.name: 0 for outcome in TROUBLES}
PIP: Final = f"{BIN}/pip --isolated install --quiet --no-index --no-deps --disable-pip-version-check --upgrade"


@pytest.mark.sandbox("--copy", "{environment}:/opt/prefork", "--bind", "{folder}:/opt/wheels")
@pytest.mark.parametrize("options", ["", "--socket"])
def test_an_upgrade_loses_nothing_and_systemd_knows_the_main_process(
    machine: Machine, folder: Path, options: str
) -> None:
    name = wheel(folder, NEXT).name
    machine.install('workers = 4\nkeep_alive_timeout = "1h"\n', options)
    before = machine.main_pid()
    with machine.load() as counted:
        machine.run(f"{PIP} /opt/wheels/{name}")
        assert machine.run(f"{BIN}/prefork upgrade").startswith("upgraded ")
        assert f"prefork-hello {NEXT}, " in machine.run(f"{BIN}/prefork status")
        machine.run(f"systemctl reload {UNIT}")
    assert {outcome: counted[outcome] for outcome in LOST} == LOST
    assert counted["OK"] > 0
    assert machine.main_pid() == before
    assert "Active: active (running)" in machine.status()
    machine.run(f"systemctl stop {UNIT}")
    assert machine.property("Result") == "success"
