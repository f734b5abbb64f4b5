"""The servers as a table: the command of each, and what must be on the machine for it.

Every one answers every request for / with 200 and the same 13 bytes, on 127.0.0.1, without an access log, with the same
backlog and a keep-alive time that outlasts a run.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.bench import peers, tools
from tests.bench.tools import Tool

BACKLOG: Final = 4096  # connections: prefork's default, and that of net.core.somaxconn since Linux 5.4
MIB: Final = 1024 * 1024
KEEP_ALIVE_SECONDS: Final = 75  # nginx's default; gunicorn's is 2

NGINX_CONFIG: Final = """
daemon off;
pid nginx.pid;
error_log stderr;
worker_processes {workers};
events {{ worker_connections 16384; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    keepalive_timeout {keep_alive};
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} backlog={backlog}{tls};
        default_type text/plain;
        location = / {{ return 200 'Hello, world!'; }}
        root .;
    }}
}}
"""


NGINX_TLS: Final = """ ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {certificate};
        ssl_certificate_key {key}"""


class Site(Struct, frozen=True):
    """Where one run of a server takes place: a free port, a number of workers, an empty folder."""

    port: int
    workers: int
    folder: Path
    tls: bool = False
    app: str = "hello:app"

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate"

    @property
    def key(self) -> Path:
        return self.folder / "key"


def prefork(site: Site) -> list[str]:
    """Return the command of prefork-hello."""
    return [sys.executable, "-m", "prefork", "hello", *prefork_options(site)]


def prefork_run(site: Site) -> list[str]:
    """Return the command of prefork with the WSGI application that its peers serve."""
    return [sys.executable, "-m", "prefork", "run", site.app, *prefork_options(site)]


def prefork_options(site: Site) -> list[str]:
    """Return the options of prefork, whatever it serves."""
    return [
        "--workers",
        str(site.workers),
        "--bind",
        f"127.0.0.1:{site.port}",
        "--accept",
        "reuseport",
        "--control",
        "off",
        "--keep-alive-requests",
        "1000000000",
        "--max-connections",
        "20000",
        "--max-connections-per-client",  # all come from here
        "1000000",
        *(["--tls-cert", str(site.certificate), "--tls-key", str(site.key)] if site.tls else []),
    ]


def nginx(site: Site) -> list[str]:
    """Write nginx's configuration and files, and return its command."""
    site.folder.chmod(0o755)  # nginx's workers become somebody else when root starts it
    for name, size in (("1m", MIB), ("64m", 64 * MIB)):
        (site.folder / name).touch()
        os.truncate(site.folder / name, size)
    config = site.folder / "nginx.conf"
    config.write_text(
        NGINX_CONFIG.format(
            workers=site.workers,
            port=site.port,
            backlog=BACKLOG,
            keep_alive=KEEP_ALIVE_SECONDS,
            tls=NGINX_TLS.format(certificate=site.certificate, key=site.key) if site.tls else "",
        )
    )
    return [tools.program("nginx") or "nginx", "-p", str(site.folder), "-c", str(config), "-e", "stderr"]


def floor(site: Site) -> list[str]:
    """Return the command of what is no server, but tells how little one of Python could take."""
    return [sys.executable, str(Path(__file__).with_name("floor.py")), str(site.port), str(BACKLOG)]


def bjoern(site: Site) -> list[str]:
    """Return the command of bjoern, which has one process and no command line of its own."""
    module, name = site.app.split(":")
    run = f"bjoern.run(app, '127.0.0.1', {site.port}, listen_backlog={BACKLOG})"
    return [peers.PYTHON, "-c", f"import bjoern; from {module} import {name} as app; {run}"]


def gunicorn(site: Site) -> list[str]:
    """Return the command of gunicorn; 4 threads did best of 1, 2, 4 and 8 at 64 connections."""
    worker = ["--worker-class", "gthread", "--threads", "4", "--keep-alive", str(KEEP_ALIVE_SECONDS)]
    room = ["--backlog", str(BACKLOG), "--worker-connections", "8192"]
    quiet = ["--no-control-socket", "--log-level", "warning"]
    where = ["--workers", str(site.workers), "--bind", f"127.0.0.1:{site.port}"]
    return [peers.PYTHON, "-m", "gunicorn", *worker, *room, *quiet, *where, site.app]


def granian(site: Site) -> list[str]:
    """Return the command of granian."""
    http = ["--interface", "wsgi", "--http", "1", "--no-ws", "--backlog", str(BACKLOG), "--log-level", "warning"]
    where = ["--workers", str(site.workers), "--host", "127.0.0.1", "--port", str(site.port)]
    return [peers.PYTHON, "-m", "granian", *http, *where, site.app]


def uwsgi(site: Site) -> list[str]:
    """Return the command of uWSGI, whose keep-alive takes a process that speaks HTTP and passes requests on.

    By `--http11-socket` a worker does it alone, but serves no other connection until the client closes this one.
    """
    http = ["--http", f"127.0.0.1:{site.port}", f"--http-keepalive={KEEP_ALIVE_SECONDS}", "--listen", str(BACKLOG)]
    rest = ["--processes", str(site.workers), "--die-on-term", "--disable-logging"]
    return [str(peers.ENVIRONMENT / "bin/uwsgi"), *http, *rest, "--module", site.app]


def waitress(site: Site) -> list[str]:
    """Return the command of waitress, which has one process; 4 threads are its default."""
    room = ["--backlog", str(BACKLOG), "--connection-limit", "8192", "--channel-timeout", str(KEEP_ALIVE_SECONDS)]
    return [peers.PYTHON, "-m", "waitress", "--listen", f"127.0.0.1:{site.port}", *room, site.app]


class Server(Struct, frozen=True):
    """One row of SERVERS: what starts it, the PyPI package for the benchmark's environment, and what that takes."""

    name: str
    command: Callable[[Site], list[str]]
    package: str | None = None
    needs: tuple[Tool, ...] = ()


# fmt: off
SERVERS: Final = (
    Server("prefork-hello", prefork),
    Server("prefork",       prefork_run),
    Server("nginx",         nginx,    needs=(tools.NGINX,)),
    Server("floor",         floor),
    Server("bjoern",        bjoern,   "bjoern",   (tools.ENSUREPIP, tools.COMPILER, tools.LIBEV)),
    Server("gunicorn",      gunicorn, "gunicorn", (tools.ENSUREPIP,)),
    Server("granian",       granian,  "granian",  (tools.ENSUREPIP,)),
    Server("uwsgi",         uwsgi,    "uwsgi",    (tools.ENSUREPIP, tools.COMPILER)),
    Server("waitress",      waitress, "waitress", (tools.ENSUREPIP,)),
)
# fmt: on
