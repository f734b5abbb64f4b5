"""Where a service puts its control socket, and where a command looks for it."""

from collections.abc import Mapping

import pytest

from prefork.ipc.control_path import command_paths, folders, name_of, path_in, path_of_unit, service_name, service_path

SYSTEM = {"RUNTIME_DIRECTORY": "/run/shop:/run/other"}
LOGIN = {"XDG_RUNTIME_DIR": "/run/user/7"}
NAME = service_name("shop")


@pytest.mark.parametrize(
    ("environ", "uid", "path"),
    [
        ({}, 0, "/run/prefork-shop.sock"),
        (LOGIN, 0, "/run/prefork-shop.sock"),
        (LOGIN, 7, "/run/user/7/prefork-shop.sock"),
        ({"XDG_RUNTIME_DIR": "/tmp/runtime-8"}, 8, "/tmp/runtime-8/prefork-shop.sock"),
        ({}, 8, "/run/user/8/prefork-shop.sock"),
        ({"XDG_RUNTIME_DIR": "", "RUNTIME_DIRECTORY": ""}, 8, "/run/user/8/prefork-shop.sock"),
        (SYSTEM, 0, "/run/shop/prefork.sock"),
        ({**SYSTEM, **LOGIN}, 7, "/run/shop/prefork.sock"),
    ],
)
def test_a_service_takes_the_folder_of_its_unit_else_that_of_its_user(
    environ: Mapping[str, str], uid: int, path: str
) -> None:
    assert service_path(NAME, environ, uid) == path


@pytest.mark.parametrize("environ", [{}, SYSTEM, LOGIN, {**SYSTEM, **LOGIN}])
@pytest.mark.parametrize("uid", [0, 7])
def test_a_command_first_looks_where_its_own_service_would_be(environ: Mapping[str, str], uid: int) -> None:
    assert command_paths(NAME, environ, uid)[0] == service_path(NAME, environ, uid)


def test_a_command_finds_units_that_are_called_as_the_service_and_the_services_of_root() -> None:
    assert command_paths(NAME, LOGIN, 7) == (
        "/run/user/7/prefork-shop.sock",
        "/run/user/7/prefork-shop/prefork.sock",
        "/run/prefork-shop.sock",
        "/run/prefork-shop/prefork.sock",
    )


def test_any_service_is_looked_for_among_those_of_the_user_then_of_root() -> None:
    assert folders(LOGIN, 7) == ("/run/user/7", "/run")
    assert folders(LOGIN, 0) == ("/run",)
    assert (path_of_unit(SYSTEM), path_of_unit(LOGIN)) == ("/run/shop/prefork.sock", None)


@pytest.mark.parametrize(
    ("found", "path"),
    [("/run/prefork-shop.sock", "/run/prefork-shop.sock"), ("/run/prefork-shop", "/run/prefork-shop/prefork.sock")],
)
def test_what_is_found_there_has_a_path_and_a_name(found: str, path: str) -> None:
    assert path_in(found) == path
    assert name_of(path) == "shop"
