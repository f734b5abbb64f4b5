"""Translates a configuration into what is listened on, and takes over what was there before the service started."""

import os
from collections.abc import Iterable

from prefork.config.addresses import Address, Descriptor
from prefork.config.schema import Config
from prefork.ipc.control_path import service_path
from prefork.logs.log import Log
from prefork.master import control
from prefork.master.binding import SocketOptions, backlog_warning, open_listeners
from prefork.master.cpus import allowed_cpus
from prefork.master.errors import StartError
from prefork.master.identity import Identity
from prefork.master.listeners import Listener, Listeners
from prefork.master.passed import passed_listeners, unwanted
from prefork.master.stored import is_stored, restored
from prefork.systemd import passed_descriptors


class Inherited:
    """The descriptors that the process was started with to listen on, by names and numbers."""

    def __init__(self) -> None:
        named = passed_descriptors(os.environ, os.getpid())
        self._stored = [each for each in named if is_stored(each[0])]
        self._named = [each for each in named if not is_stored(each[0])]
        self._closed: list[str] = []
        self._restored: tuple[Listener, ...] = ()

    @property
    def stored(self) -> list[str]:
        """The names of what comes from the fd store."""
        return [name for name, _ in self._stored]

    def kept(self, bind: Iterable[Address]) -> list[int]:
        """Return the numbers that must stay open until `listen`."""
        named = [number for _, number in (*self._named, *self._stored)]
        return named + [each.number for each in bind if isinstance(each, Descriptor)]

    def listen(self, config: Config, identity: Identity | None) -> Listeners:
        """Open what is to be listened on at the start, with these workers; raises StartError."""
        passed, self._closed = passed_listeners(self._named, config.bind)
        self._restored = restored(self._stored, config.bind)
        return listen(config, worker_count(config), Listeners(config.accept, self._restored, passed), identity)

    def close_fresh(self, listeners: Listeners) -> None:
        """Close what `listen` has opened itself, as the start fails: what waits in the fd store is for the next one."""
        listeners.close_dropped(Listeners(listeners.accept, self._restored, listeners.passed))

    def tell(self, listeners: Listeners, config: Config, log: Log) -> None:
        """Log where the service listens, and what of it isn't as somebody may think."""
        for member in listeners.members:
            how = (
                {"passed": member.address}
                if member.is_foreign
                else {"accept": config.accept, "backlog": config.backlog}
            )
            for address in member.bound:
                log.info("listening", address=address, **how)
        if self._stored:
            taken = sum(len(each.sockets) for each in self._restored)
            log.info("sockets of the fd store taken back", count=taken, dropped=len(self._stored) - taken)
        if self._closed:
            log.warning("passed descriptors closed", names=" ".join(self._closed), reason="no listening sockets")
        if names := unwanted(listeners.passed, config.bind):
            log.warning("passed sockets not listened on", names=" ".join(names), hint="add systemd:NAME to bind")
        if warning := backlog_warning(config.backlog):
            log.warning(warning)


def worker_count(config: Config) -> int:
    """Return how many workers are wanted."""
    return allowed_cpus() if config.workers == "auto" else config.workers


def listen(config: Config, workers: int, previous: Listeners | None, identity: Identity | None = None) -> Listeners:
    """Open what is to be listened on, taking over what there is; raises StartError.

    A unix socket belongs to the group of the workers, so that a proxy of that group reaches it.
    """
    group = identity.gid if identity else None
    return open_listeners(
        config.bind,
        SocketOptions(config.backlog, config.unix_mode, config.tcp_user_timeout, config.tcp_defer_accept, group),
        accept=config.accept,
        slots=workers,
        previous=previous,
    )


def open_control(config: Config, name: str) -> tuple[Listener | None, str]:
    """Listen for commands where that is wanted. Return why it isn't possible, where the service can do without.

    Raises:
        StartError: for a path that was chosen; without the one that it would choose itself, the service goes on.
    """
    if config.control == "off":
        return None, ""
    if config.control != "auto":
        return control.listen(config.control), ""
    try:
        return control.listen(service_path(name, os.environ, os.geteuid())), ""
    except StartError as error:
        return None, f"{error}; set name or control"
