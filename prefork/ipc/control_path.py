"""Where the control socket is: the rule by which a service chooses its path, and by which a command finds it.

A service has a name such as prefork-hello, which tells the services of one user apart. What systemd made for the
service comes first, then the folder that belongs to its user alone: /run for root, else the one of the login.
"""

from collections.abc import Iterator, Mapping

FOLDER_OF_ALL = "/run"


def service_name(name: str) -> str:
    """Return the whole name of a service for which `name` was chosen."""
    return f"prefork-{name}"


def service_path(name: str, environ: Mapping[str, str], uid: int) -> str:
    """Return the path of the service itself. Its folder exists, or the user has none for such things."""
    return path_of_unit(environ) or f"{_of_user(environ, uid)}/{name}.sock"


def command_paths(name: str, environ: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """Return the paths where a command looks for a service, in this order.

    Besides the service's own rule they are those of a unit whose RuntimeDirectory is its name, and root's.
    """
    return tuple(dict.fromkeys(_paths(name, environ, uid)))


def folders(environ: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """Return where a command looks for any service, in this order: its user's, then root's."""
    return tuple(dict.fromkeys((_of_user(environ, uid), FOLDER_OF_ALL)))


def path_in(found: str) -> str:
    """Return the path for what was found in one of these folders: a socket, or what may be the folder of a unit."""
    return found if found.endswith(".sock") else f"{found}/prefork.sock"


def name_of(path: str) -> str:
    """Return the name of the service that has such a path, without its `prefork-`."""
    found = path.removesuffix("/prefork.sock").removesuffix(".sock")
    return found.rpartition("/")[2].removeprefix(service_name(""))


def path_of_unit(environ: Mapping[str, str]) -> str | None:
    """Return the path of the unit that runs the command, where there is one."""
    folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]  # the first that systemd made (systemd.exec(5))
    return f"{folder}/prefork.sock" if folder else None


def _paths(name: str, environ: Mapping[str, str], uid: int) -> Iterator[str]:
    yield service_path(name, environ, uid)
    for folder in folders(environ, uid):
        yield f"{folder}/{name}.sock"
        yield f"{folder}/{name}/prefork.sock"


def _of_user(environ: Mapping[str, str], uid: int) -> str:
    """Return the user's own folder. Root's is not XDG_RUNTIME_DIR: sudo and su may leave it somebody else's."""
    return FOLDER_OF_ALL if uid == 0 else environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
