"""What is written for a service: the units that are shipped, with its name and the paths of its environment."""

import re
from pathlib import Path
from typing import Final

import pytest

from prefork.config.addresses import Inet, Passed, Unix
from prefork.config.schema import Config
from prefork.service.seal import is_sealed
from prefork.service.texts import paths, shut_out, unit_files

FOLDER: Final = Path(__file__).parents[3] / "systemd"
SHIPPED: Final = {path.name: path.read_text() for path in FOLDER.iterdir() if path.is_file()}
BIN: Final = "/srv/shop/bin"
CONFIG: Final = Config(bind=(Inet("0.0.0.0", 80), Inet("::1", 81), Unix("/run/x")), backlog=7, unix_mode=0o600)


def test_the_hello_has_its_own_units_with_the_paths_of_its_environment() -> None:
    texts = unit_files("hello", BIN, CONFIG, SHIPPED, socket=False)
    ((path, text),) = texts.items()
    assert path == "/etc/systemd/system/prefork-hello.service"
    assert is_sealed(text)
    assert "\nExecStart=/srv/shop/bin/prefork-hello --config /etc/prefork/hello.toml\n" in text
    assert "/opt/prefork" not in text


def test_an_application_has_units_from_the_template_with_its_name() -> None:
    text = unit_files("shop", BIN, CONFIG, SHIPPED, socket=False)[paths("shop").service]
    assert "\nExecStart=/srv/shop/bin/prefork run --name shop --config /etc/prefork/shop.toml\n" in text
    assert "\nRuntimeDirectory=prefork-shop\n" in text
    assert "%i" not in text


def test_a_socket_unit_has_the_addresses_of_the_configuration() -> None:
    texts = unit_files("shop", BIN, CONFIG, SHIPPED, socket=True)
    assert list(texts) == [paths("shop").service, paths("shop").socket, paths("shop").drop_in]
    text = texts[paths("shop").socket]
    assert "\nListenStream=0.0.0.0:80\nListenStream=[::1]:81\nListenStream=/run/x\n" in text
    assert "\nSocketMode=0600\n" in text
    assert "\nBacklog=7\n" in text
    assert all(map(is_sealed, texts.values()))


@pytest.mark.parametrize(
    ("bind", "problem"),
    [
        (Unix("x"), "expected IP addresses with ports, and whole paths, for a socket unit, got unix:x"),
        (Passed("web"), "expected IP addresses with ports, and whole paths, for a socket unit, got systemd:web"),
        (
            Unix("/run/prefork-shop/x"),
            "expected a socket outside of /run/prefork-shop, which goes with the service, got ",
        ),
    ],
)
def test_a_socket_unit_has_no_place_for_some_addresses(bind: Unix | Passed, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        unit_files("shop", BIN, Config(bind=(bind,)), SHIPPED, socket=True)


@pytest.mark.parametrize(
    ("bind", "unix_mode", "socket", "told"),
    [
        (Inet("127.0.0.1", 80), 0o660, True, "^$"),
        (Unix("/run/x"), 0o666, True, "^$"),
        (
            Unix("/run/x"),
            0o660,
            True,
            "^; only root may connect .*SocketGroup= in `systemctl edit prefork-shop.socket`",
        ),
        (Unix("/run/x"), 0o666, False, "^; without --socket a proxy reaches no unix socket "),
    ],
)
def test_who_installs_a_unix_socket_is_told_whom_it_shuts_out(
    bind: Inet | Unix,
    unix_mode: int,
    socket: bool,  # noqa: FBT001 - of the table
    told: str,
) -> None:
    assert re.search(told, shut_out("shop", Config(bind=(bind,), unix_mode=unix_mode), socket=socket))


@pytest.mark.parametrize("kind", ["service", "socket"])
def test_the_template_differs_from_the_units_of_the_hello_in_names_alone(kind: str) -> None:
    def settings(text: str) -> list[str]:
        lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
        names = ("Description", "ExecStart", "ListenStream", "SocketMode")
        return [line for line in lines if not line.startswith(names)]

    template = SHIPPED[f"prefork@.{kind}"].replace("prefork-%i", "prefork-hello")
    assert settings(template) == settings(SHIPPED[f"prefork-hello.{kind}"])
