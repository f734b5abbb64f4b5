"""What `prefork service` does, from its arguments to the lines that it prints."""

import os
from collections.abc import Iterator, Sequence

from prefork.config.keys import keys_of
from prefork.config.load import load
from prefork.config.option import HELLO as HELLO_COMMAND
from prefork.config.option import RUN as RUN_COMMAND
from prefork.ipc.client import CommandError
from prefork.ipc.control_path import service_name
from prefork.service import host, plan
from prefork.service.texts import HELLO, paths, shut_out, unit_files


def install(name: str, config: str | None, *, socket: bool, dry_run: bool) -> Iterator[str]:
    """Have systemd run the service now and at each boot, and tell of each step.

    `config` is the path of the configuration to begin with, without which it is that in /etc/prefork, or a sample.

    Raises:
        ConfigError: the configuration has a mistake. Nothing has been done then.
        CommandError: it can't be done, or the service doesn't start.
    """
    place = paths(name)
    chosen, text = _configuration(name, config)
    loaded = load(chosen, {}, {}, keys_of(HELLO_COMMAND if name == HELLO else RUN_COMMAND)).config
    if name != HELLO and loaded.app is None:
        raise CommandError(os.EX_CONFIG, f'{chosen}: no application, set app as in app = "shop.wsgi:app"')
    host.reachable(
        [os.path.realpath(loaded.chdir)] if loaded.chdir else [], "set chdir to a folder elsewhere, in /srv say"
    )
    try:
        units = unit_files(name, host.bin_folder(), loaded, host.shipped("units"), socket=socket)
        found = host.existing([place.config, place.service, place.socket, place.drop_in])
        actions = plan.install(name, text, units, found, chosen=config is not None)
    except ValueError as error:
        raise CommandError(os.EX_CONFIG, f"{chosen}: bind: {error}") from None
    try:
        yield from _carried_out(actions, name, dry_run=dry_run)
    except CommandError as error:
        raise CommandError(error.status, f"{error}{shut_out(name, loaded, socket=socket)}") from None
    if not dry_run:
        places = ", ".join(host.addresses(name) or map(str, loaded.bind))
        yield f"{service_name(name)} serves at {places}{shut_out(name, loaded, socket=socket)}"


def remove(name: str, *, dry_run: bool) -> Iterator[str]:
    """End the service and remove its units, and tell of each step; raises CommandError."""
    place = paths(name)
    found = host.existing([place.config, place.service, place.socket, place.drop_in])
    if not found.keys() - {place.config}:
        raise CommandError(os.EX_UNAVAILABLE, f"{place.service}: there is no such service")
    yield from _carried_out(plan.remove(name, found), name, dry_run=dry_run)
    if not dry_run:
        yield f"{service_name(name)} is removed"


def _carried_out(actions: Sequence[plan.Action], name: str, *, dry_run: bool) -> Iterator[str]:
    if dry_run:
        yield from host.told(actions)
    else:
        host.check()
        yield from host.perform(actions, name)


def _configuration(name: str, given: str | None) -> tuple[str, str | None]:
    """Return the path of the configuration to be checked, and its text unless it is in its place already."""
    path = paths(name).config
    if given is not None and os.path.realpath(given) != path:
        return given, host.existing([given]).get(given, "")  # that there is none, `load` says
    if os.path.exists(path):
        return path, None
    if name != HELLO:
        raise CommandError(os.EX_NOINPUT, f"{path}: there is no such file; write it, or name another by --config")
    sample = os.path.join(os.path.dirname(__file__), "samples", "hello.toml")
    return sample, host.existing([sample])[sample]
