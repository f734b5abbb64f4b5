"""The user's own applications as services: by the command, and by the templates."""

from typing import Final

from tests.systemd.machine import BIN, Machine

APPLICATION: Final = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Welcome to the shop"]
"""
TOML: Final = 'app = "shop:app"\nchdir = "/srv/shop"\nworkers = 2\n'
OVER_UNIX: Final = "curl -sS --fail --max-time 10 --unix-socket /run/prefork/shop.sock http://localhost/"


def test_the_command_installs_an_application_beside_the_hello(machine: Machine) -> None:
    machine.write("/srv/shop/shop.py", APPLICATION)
    machine.write("/root/none.toml", "workers = 2\n")
    refused = machine.ask(f"{BIN}/prefork service install shop --config none.toml")
    assert refused == (78, 'prefork: error: none.toml: no application, set app as in app = "shop.wsgi:app"\n')
    machine.write("/root/home.toml", TOML.replace("/srv", "/home"))
    refused = machine.ask(f"{BIN}/prefork service install shop --config home.toml")
    assert refused.status == 78
    assert refused.output.startswith("prefork: error: /home/shop: no service sees what is below /home ")
    machine.write("/root/shop.toml", TOML + 'bind = "127.0.0.1:8081"\n')
    machine.run(f"{BIN}/prefork service install")
    said = machine.run(f"{BIN}/prefork service install shop --config shop.toml")
    assert said.endswith("\nprefork-shop serves at 127.0.0.1:8081\n")
    assert machine.get(8081) == "Welcome to the shop"
    assert len(machine.workers("shop")) == 2
    machine.run("systemctl reload prefork-shop")
    assert "generation 2" in machine.status("prefork-shop")
    machine.run(f"{BIN}/prefork service remove shop")
    assert machine.run("cat /etc/prefork/shop.toml").startswith(TOML)
    assert machine.get() == "Hello, world!"


def test_a_socket_has_the_template_started_and_no_network_is_needed(machine: Machine) -> None:
    machine.write("/srv/shop/shop.py", APPLICATION)
    machine.write("/etc/prefork/shop.toml", TOML)
    machine.run(
        "cd /opt/source/systemd; install -m644 prefork@.service prefork@.socket -t /etc/systemd/system;"
        "install -Dm644 socket.conf -t /etc/systemd/system/prefork@.service.d; systemctl daemon-reload;"
        "systemctl enable --now prefork@shop.socket"
    )
    unit = "prefork@shop.service"
    assert machine.property("ActiveState", unit) == "inactive"
    assert machine.run(OVER_UNIX) == "Welcome to the shop"
    machine.wait_until_active(unit)
    assert machine.run(f"nsenter --target {machine.main_pid(unit)} --net ip -oneline address").count("\n") == 2  # of lo
    machine.run("systemctl reload prefork@shop")
    assert machine.run(f"{BIN}/prefork status --name shop").startswith("prefork-shop ")
    assert machine.run(OVER_UNIX) == "Welcome to the shop"
    machine.run("systemctl stop prefork@shop.socket")
    assert machine.property("ActiveState", unit) == "inactive"


def test_a_proxy_is_let_into_a_unix_socket_once_its_mode_does(machine: Machine) -> None:
    machine.write("/srv/shop/shop.py", APPLICATION)
    machine.write("/etc/prefork/shop.toml", TOML + 'bind = "unix:/run/sockets/shop"\n')
    told = machine.ask(f"{BIN}/prefork service install shop")
    assert told.status == 1
    assert "; without --socket a proxy reaches no unix socket " in told.output
    assert "; only root may connect there" in machine.run(f"{BIN}/prefork service install shop --socket")
    proxy = f"setpriv --reuid=www-data --regid=www-data --clear-groups {OVER_UNIX.replace('prefork/shop.sock', 'sockets/shop')}"
    assert machine.ask(proxy).status != 0
    machine.run("""echo 'unix_mode = "0666"' >>/etc/prefork/shop.toml""")
    said = machine.run(f"{BIN}/prefork service install shop --socket")
    assert said.endswith("\nprefork-shop serves at unix:/run/sockets/shop\n")
    assert machine.run(proxy) == "Welcome to the shop"
    machine.run(f"{BIN}/prefork service remove shop; test ! -e /run/sockets/shop")


def test_a_mold_imports_and_is_forked_within_the_walls_of_the_unit(machine: Machine) -> None:
    machine.write("/srv/shop/shop.py", APPLICATION)
    machine.write("/root/shop.toml", TOML + 'bind = "127.0.0.1:8081"\npreload = "mold"\n')
    machine.run(f"{BIN}/prefork service install shop --config shop.toml")
    assert machine.get(8081) == "Welcome to the shop"
    assert len(machine.workers("shop")) == 2
    machine.write("/srv/shop/shop.py", APPLICATION.replace("Welcome to", "Sale at"))
    machine.run("systemctl reload prefork-shop")
    assert machine.get(8081) == "Sale at the shop"
    assert " of generation 2, ready, " in machine.run(f"{BIN}/prefork status --name shop")
    machine.run("systemctl stop prefork-shop")
    assert machine.property("Result", "prefork-shop") == "success"
