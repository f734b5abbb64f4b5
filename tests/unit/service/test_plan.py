"""What is done to install and to remove a service, for what there is already."""

import pytest

from prefork.ipc.client import CommandError
from prefork.service.plan import Delete, Systemctl, Write, install, remove
from prefork.service.seal import sealed
from prefork.service.texts import paths

PLACE = paths("shop")
SERVICE, SOCKET = "prefork-shop.service", "prefork-shop.socket"
PLAIN = {PLACE.service: sealed("new")}
ACTIVATED = PLAIN | {PLACE.socket: sealed("socket"), PLACE.drop_in: sealed("drop-in")}
OLD = {PLACE.service: sealed("old")}
RELOAD = Systemctl(("daemon-reload",))
CONFIG = {PLACE.config: "workers = 1"}
KEPT = f"keep {PLACE.config}: it is the configuration"


def test_a_new_service_gets_all_its_files_and_is_started() -> None:
    assert install("shop", "workers = 1", PLAIN, {}, chosen=True) == [
        Write(PLACE.config, "workers = 1"),
        Write(PLACE.service, PLAIN[PLACE.service]),
        RELOAD,
        Systemctl(("enable", "--now", SERVICE)),
    ]


def test_a_new_service_with_a_socket_unit_has_nothing_to_stop_or_restart() -> None:
    actions = install("shop", "workers = 1", ACTIVATED, {}, chosen=True)
    assert [each for each in actions if isinstance(each, Systemctl)] == [
        RELOAD,
        Systemctl(("enable", "--now", SOCKET, SERVICE)),
    ]


def test_nothing_is_written_that_is_there_already() -> None:
    assert install("shop", None, PLAIN, PLAIN | CONFIG, chosen=False) == [
        KEPT,
        RELOAD,
        Systemctl(("enable", "--now", SERVICE)),
    ]


def test_an_older_unit_is_replaced_and_its_service_restarted() -> None:
    assert install("shop", None, PLAIN, OLD | CONFIG, chosen=False) == [
        KEPT,
        Write(PLACE.service, PLAIN[PLACE.service]),
        RELOAD,
        Systemctl(("enable", "--now", SERVICE)),
        Systemctl(("restart", SERVICE)),
    ]


def test_a_drop_in_that_has_lost_its_socket_unit_goes_and_the_service_is_restarted_without() -> None:
    found = PLAIN | CONFIG | {PLACE.drop_in: ACTIVATED[PLACE.drop_in]}
    assert install("shop", None, PLAIN, found, chosen=False) == [
        KEPT,
        Delete(PLACE.drop_in),
        RELOAD,
        Systemctl(("enable", "--now", SERVICE)),
        Systemctl(("restart", SERVICE)),
    ]


def test_a_service_that_gets_a_socket_unit_is_stopped_first() -> None:
    actions = install("shop", None, ACTIVATED, PLAIN | CONFIG, chosen=False)
    assert actions[0] == Systemctl(("stop", SERVICE))
    assert actions[-1] == Systemctl(("enable", "--now", SOCKET, SERVICE))
    assert [action.path for action in actions if isinstance(action, Write)] == [PLACE.socket, PLACE.drop_in]


def test_a_service_that_loses_its_socket_unit_binds_again_itself() -> None:
    assert install("shop", None, PLAIN, ACTIVATED | CONFIG, chosen=False) == [
        Systemctl(("disable", "--now", SOCKET, SERVICE)),
        KEPT,
        Delete(PLACE.socket),
        Delete(PLACE.drop_in),
        RELOAD,
        Systemctl(("enable", "--now", SERVICE)),
    ]


def test_a_configuration_that_is_there_is_kept_unless_another_was_chosen() -> None:
    assert KEPT in install("shop", "workers = 2", PLAIN, CONFIG, chosen=False)
    assert KEPT in install("shop", "workers = 1", PLAIN, CONFIG, chosen=True)
    assert KEPT in install("shop", None, PLAIN, CONFIG, chosen=True)
    with pytest.raises(CommandError, match=f"{PLACE.config}: there is another configuration already"):
        install("shop", "workers = 2", PLAIN, CONFIG, chosen=True)


@pytest.mark.parametrize("path", ACTIVATED)
def test_a_file_that_is_not_as_it_was_written_stops_it_all(path: str) -> None:
    found = ACTIVATED | {path: "by hand"}
    with pytest.raises(CommandError, match=f"{path}: was not written by this command, or was changed since"):
        install("shop", None, PLAIN, found, chosen=False)
    with pytest.raises(CommandError, match=path):
        remove("shop", found)


def test_removing_undoes_it_and_keeps_the_configuration() -> None:
    assert remove("shop", ACTIVATED | CONFIG) == [
        Systemctl(("disable", "--now", SOCKET, SERVICE)),
        Delete(PLACE.service),
        Delete(PLACE.socket),
        Delete(PLACE.drop_in),
        RELOAD,
        Systemctl(("reset-failed", SOCKET, SERVICE), must=False),
        f"keep {PLACE.config}: the configuration is yours",
    ]


def test_removing_a_service_leaves_alone_what_it_never_had() -> None:
    assert remove("shop", PLAIN) == [
        Systemctl(("disable", "--now", SERVICE)),
        Delete(PLACE.service),
        RELOAD,
        Systemctl(("reset-failed", SERVICE), must=False),
    ]
