"""A project of Django, deployed as the README says: with its very files."""

import re
from typing import Final

from tests.systemd.machine import BIN, REPOSITORY, Machine

NOTES: Final = REPOSITORY / "tests/apps/sites/notes"
SETTINGS: Final = """
import os
SECRET_KEY = os.environ.get("SECRET_KEY", "only to collect static files")
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS += ["notes"]
ROOT_URLCONF = "notes.urls"
DATABASES["default"]["NAME"] = "/var/lib/shop/db.sqlite3"
"""


def shown(language: str) -> str:
    """Return what the README has in this language to deploy a project; there the environment is the project's own."""
    section = (REPOSITORY / "README.md").read_text().partition("## How do I deploy a Django project?\n")[2]
    found = re.search(rf"```{language}\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    assert found, f"the README has nothing in {language} there"
    return found[1].replace("/srv/shop/venv/bin", BIN)


def make_project(machine: Machine) -> None:
    machine.run(f"mkdir -p /srv/shop; cd /srv/shop; {BIN}/python -m django startproject shop .")
    settings = machine.run("cat /srv/shop/shop/settings.py")
    machine.write("/srv/shop/shop/settings.py", settings + SETTINGS)
    for file in NOTES.rglob("*.py"):
        machine.write(f"/srv/shop/notes/{file.relative_to(NOTES)}", file.read_text())


def test_a_project_is_deployed_reloaded_broken_and_mended(machine: Machine) -> None:
    make_project(machine)
    machine.write("/srv/shop/shop/hooks.py", shown("python"))
    machine.write("/root/shop.toml", shown("toml"))
    machine.write("/etc/systemd/system/prefork-shop.service.d/shop.conf", shown("ini"))
    machine.write("/etc/prefork/shop.env", "SECRET_KEY=4711\n")
    machine.run("chmod 600 /etc/prefork/shop.env")
    said = machine.run(f"{BIN}/prefork service install shop --config shop.toml")
    assert said.endswith("\nprefork-shop serves at 127.0.0.1:8081\n")
    assert machine.get(8081) == "old"
    assert machine.run("curl -sS --fail http://127.0.0.1:8081/visits") == "1"  # a row in the database
    pid = machine.main_pid("prefork-shop.service")

    def edit(old: str, new: str) -> None:
        machine.run(f"sed -i 's/HttpResponse({old})/HttpResponse({new})/' /srv/shop/notes/views.py")

    edit('"old"', '"newer"')
    machine.run("systemctl reload prefork-shop")
    assert machine.get(8081) == "newer"
    edit('"newer"', "(")
    assert machine.ask("systemctl reload prefork-shop").status == 1
    assert machine.get(8081) == "newer"
    reason = "shop.hooks.post_worker_init: SyntaxError: '(' was never closed (notes/views.py:14)"
    machine.wait_for_status(reason, "prefork-shop")
    edit("(", '"mended"')
    machine.run("systemctl reload prefork-shop")
    assert machine.get(8081) == "mended"
    assert machine.main_pid("prefork-shop.service") == pid
