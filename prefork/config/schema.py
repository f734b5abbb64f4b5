"""Every key of the configuration, once: its name, type and default, and what an Option says about it. Pure.

The flags, the environment's names, the help, the checks and the sample file all follow from here; a new key is one
entry. The values are final: durations are seconds, sizes are bytes, addresses are parsed.
"""

import re
from functools import partial
from typing import Annotated, Final, Literal
from urllib.parse import unquote

from msgspec import Struct

from prefork.config.addresses import UNFIT, Address, Inet
from prefork.config.kinds import (
    addresses,
    boolean,
    choice,
    duration,
    mode,
    networks,
    path,
    paths,
    size,
    text,
    whole_number,
)
from prefork.config.option import Group, Option

MOST_WORKERS: Final = 1024
JOURNALD: Final = "journald"  # in the place of a path

_KIB: Final = 1024
_MIB: Final = 1024**2
_TIB: Final = 1024**4
_WITHOUT_CONTENT: Final = (204, 205, 304)  # RFC 9110 §15.3.5, §15.3.6, §15.4.5; the hello always has some

_THIS_MACHINE: Final = ("127.0.0.1", "::1")

_TCHARS: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 §5.6.2
_PARAMETER: Final = rf'[ \t]*;[ \t]*{_TCHARS}=(?:{_TCHARS}|"[ !#-\[\]-~]*")'  # RFC 9110 §5.6.6

_timeout: Final = duration(0.001, 24 * 3600.0)
_timeout_or_off: Final = duration(0, 24 * 3600.0)
_access_log_format: Final = text(
    '"common", "combined", "json", or directives such as %h, %>s and %{User-Agent}i',
    "FORMAT",
    rf"common|combined|json|(?=.*%)(?:[^%{UNFIT}]|%[halutrmUqHPbBODX%]|%>?s|%\{{{_TCHARS}\}}i)+",
)
_name: Final = text("up to 64 letters, digits, -, _ and .", "NAME", "[0-9A-Za-z_][0-9A-Za-z._-]{0,63}")
_account: Final = text("a name", "NAME", rf"[^\s:/{UNFIT}]+")
_pid_file: Final = text("a path, not a port, which belongs to bind", "PATH", rf"(?!\d+\Z)[^{UNFIT}]+")  # -p 8000
_body: Final = text("text of at most 65536 characters", "TEXT", r"[^\ud800-\udfff]{0,65536}")
_media_type: Final = text('a media type such as "text/plain"', "TYPE", f"{_TCHARS}/{_TCHARS}(?:{_PARAMETER})*")
_levels: Final = choice("error", "warning", "info", "debug")

_NAME: Final = r"[^\W\d]\w*"
_NAMES: Final = rf"{_NAME}(?:\.{_NAME})*"
_app: Final = text(
    'MODULE:CALLABLE or MODULE:FACTORY() such as "shop.wsgi:app"',
    "MODULE:CALLABLE",
    rf"(?!.*\.py(?::|$)){_NAMES}(?::{_NAMES}(?:\(\))?)?",
    meant=lambda text: re.sub(r"\.py(?=:|$)", "", text.removeprefix("./")).replace("/", "."),
)
_module: Final = text('a module such as "shop.hooks"', "MODULE", rf"(?!.*\.py$){_NAMES}")
_url_prefix: Final = text(
    'a path such as "/shop", without a slash at its end or %XX in it',
    "PATH",
    rf"(?!.*%[0-9A-Fa-f]{{2}})(?:/[^/?#\s{UNFIT}]+)+",
    meant=unquote,
)

_application = partial(Option, Group.APPLICATION)
_development = partial(Option, Group.DEVELOPMENT, at_restart=True)
_listening = partial(Option, Group.LISTENING)
_processes = partial(Option, Group.PROCESSES)
_lifecycle = partial(Option, Group.LIFECYCLE)
_limits = partial(Option, Group.LIMITS)
_logging = partial(Option, Group.LOGGING)
_hello = partial(Option, Group.HELLO)


class Hello(Struct, frozen=True, kw_only=True):
    """The answer of the built-in hello."""

    body: Annotated[str, _hello(_body, "What it says, sent as UTF-8.")] = "Hello, world!"
    content_type: Annotated[str, _hello(_media_type, "The media type of that.")] = "text/plain"
    status: Annotated[
        int, _hello(whole_number(200, 599, but_not=_WITHOUT_CONTENT), "The status code that comes with it.")
    ] = 200


class Config(Struct, frozen=True, kw_only=True):
    """All that can be configured, validated."""

    app: Annotated[str | None, _application(_app, "The WSGI application; MODULE alone is MODULE:application.")] = None
    chdir: Annotated[str | None, _application(path(), "Run it in this folder, the first that is searched for it.")] = (
        None
    )
    pythonpath: Annotated[
        tuple[str, ...], _application(paths(), "Search these folders for modules too; may be repeated.")
    ] = ()
    env_file: Annotated[
        str | None, _application(path(), "Variables for it, as KEY=VALUE; the environment has precedence.")
    ] = None
    url_prefix: Annotated[str | None, _application(_url_prefix, "Where it is mounted, its SCRIPT_NAME.")] = None
    threads: Annotated[int, _application(whole_number(1, 1024), "Threads of a worker that run it.")] = 1
    max_queued_requests: Annotated[
        int, _application(whole_number(0, 10**6), "Most requests of a worker that wait for it; others get 503.")
    ] = 100
    request_timeout: Annotated[
        float, _application(_timeout_or_off, "It must answer within this; 0: whenever it likes.")
    ] = 0.0
    body_buffer: Annotated[int, _application(size(0, _TIB), "A larger request body is kept in a temporary file.")] = (
        64 * _KIB
    )
    continue_on_read: Annotated[
        bool, _application(boolean(), "Call it before a body that waits for 100 Continue; with threads.")
    ] = False
    preload: Annotated[
        Literal["off", "mold"],
        _application(choice("off", "mold"), "Import it in each worker, or in a mold that workers are forked from."),
    ] = "off"
    hooks: Annotated[str | None, _application(_module, "Call the functions of this module in each worker.")] = None

    reload: Annotated[bool, _development(boolean(), "Reload when a file of the application changes.")] = False
    reload_dir: Annotated[
        tuple[str, ...], _development(paths(), "Watch these folders for that; by default chdir.")
    ] = ()

    bind: Annotated[
        tuple[Address, ...],
        _listening(addresses(), "Listen on HOST:PORT, unix:PATH, systemd[:NAME] or fd:N; may be repeated.", "-b"),
    ] = (Inet("127.0.0.1", 8080),)
    accept: Annotated[
        Literal["reuseport", "shared"],
        _listening(choice("reuseport", "shared"), "One socket a worker, or one for all."),
    ] = "reuseport"
    backlog: Annotated[int, _listening(whole_number(1, 65535), "Connections that may wait for accept.")] = 4096
    tcp_user_timeout: Annotated[
        float, _listening(_timeout_or_off, "What is sent must be acknowledged within this; 0: the system's.")
    ] = 30.0
    tcp_defer_accept: Annotated[
        float,
        _listening(_timeout_or_off, "Leave a silent new connection to the kernel for so long; 0: accept it at once."),
    ] = 1.0
    proxy_protocol: Annotated[bool, _listening(boolean(), "Expect a PROXY header of proxy_allow_ips.")] = False
    proxy_allow_ips: Annotated[
        tuple[str, ...], _listening(networks(), "Addresses of the proxies that send a PROXY header.")
    ] = _THIS_MACHINE
    forwarded_allow_ips: Annotated[
        tuple[str, ...], _listening(networks(), "Believe X-Forwarded-* or Forwarded of these proxies.")
    ] = _THIS_MACHINE
    tls_cert: Annotated[
        tuple[str, ...], _listening(paths(), "Speak TLS, with this certificate; more than one go by SNI.")
    ] = ()
    tls_key: Annotated[tuple[str, ...], _listening(paths(), "Its key, where it is not in the same file.")] = ()
    tls_min: Annotated[Literal["1.2", "1.3"], _listening(choice("1.2", "1.3"), "Oldest version of TLS.")] = "1.2"
    # Not 0666: a proxy that is shut out says so at once, a stranger who is let in is never noticed.
    unix_mode: Annotated[int, _listening(mode(), "Permissions of unix sockets, in octal.", at_restart=True)] = 0o660

    workers: Annotated[
        int | Literal["auto"],
        _processes(whole_number(1, MOST_WORKERS, word="auto"), "Worker processes; auto: one for each CPU.", "-w"),
    ] = "auto"
    user: Annotated[str | None, _processes(_account, "Run the workers as this user.", at_restart=True)] = None
    group: Annotated[str | None, _processes(_account, "Run the workers as this group.", at_restart=True)] = None
    daemon: Annotated[bool, _processes(boolean(), "Detach and run in the background.", "-D", at_restart=True)] = False
    pid_file: Annotated[
        str | None, _processes(_pid_file, "Keep the master's process id in this file.", "-p", at_restart=True)
    ] = None
    control: Annotated[
        str, _processes(path("auto", "off"), "Obey commands on this unix socket; off: on none.", at_restart=True)
    ] = "auto"
    name: Annotated[
        str | None, _processes(_name, "Call it prefork-NAME, for commands and in titles.", at_restart=True)
    ] = None

    boot_timeout: Annotated[float, _lifecycle(_timeout, "A new worker must be ready within this.")] = 60.0
    graceful_timeout: Annotated[float, _lifecycle(_timeout, "A leaving worker must finish within this.")] = 30.0
    hang_timeout: Annotated[float, _lifecycle(_timeout_or_off, "A worker that hangs this long is killed; 0 never.")] = (
        30.0
    )
    shutdown_delay: Annotated[float, _lifecycle(_timeout_or_off, "Go on accepting for this long after TERM.")] = 0.0
    surge: Annotated[int, _lifecycle(whole_number(1, 1024), "Most extra workers while others are replaced.")] = 1
    max_old_generations: Annotated[
        int, _lifecycle(whole_number(1, 100), "Old generations beyond so many must leave in 5 s.")
    ] = 2
    max_spawn_failures: Annotated[
        int, _lifecycle(whole_number(1, 1000), "Failures in a row at start before giving up.")
    ] = 3

    max_requests: Annotated[
        int, _lifecycle(whole_number(0, 10**12), "Replace a worker after so many requests; 0 never.")
    ] = 0
    max_lifetime: Annotated[
        float, _lifecycle(duration(0, 366 * 24 * 3600.0), "Replace a worker after this time; 0 never.")
    ] = 0.0
    max_memory: Annotated[int, _lifecycle(size(0, _TIB), "Replace a worker that holds more; 0 never.")] = 0
    recycle_jitter: Annotated[int, _lifecycle(whole_number(0, 100), "Percent by which workers may outlive these.")] = 10

    keep_alive_timeout: Annotated[float, _limits(_timeout, "An idle connection is closed after this.")] = 15.0
    header_timeout: Annotated[float, _limits(_timeout, "A request's head must arrive within this.")] = 10.0
    handshake_timeout: Annotated[float, _limits(_timeout, "What comes before HTTP must be done within this.")] = 10.0
    body_timeout: Annotated[float, _limits(_timeout, "More of its body must arrive within this.")] = 30.0
    write_timeout: Annotated[float, _limits(_timeout, "The client must take more within this.")] = 30.0
    min_data_rate: Annotated[
        int, _limits(size(0, _MIB), "Slowest that a body may come or an answer be taken, per second; 0 any.")
    ] = 100
    limit_request_line: Annotated[int, _limits(size(64, _MIB), "Longest request line.")] = 8 * _KIB
    limit_head: Annotated[int, _limits(size(256, 16 * _MIB), "Largest request line and fields.")] = 32 * _KIB
    limit_fields: Annotated[int, _limits(whole_number(1, 10_000), "Most header fields.")] = 100
    limit_field: Annotated[int, _limits(size(64, _MIB), "Longest header field.")] = 8 * _KIB
    limit_body: Annotated[int, _limits(size(1, _TIB), "Largest request body.")] = 16 * _MIB
    limit_chunk_extensions: Annotated[int, _limits(size(1, _MIB), "Most bytes of all chunk extensions of a body.")] = (
        16 * _KIB
    )
    limit_pipelined: Annotated[
        int, _limits(whole_number(1, 10_000), "Most requests of a client that are answered in one turn.")
    ] = 100
    max_connections: Annotated[int, _limits(whole_number(1, 10**6), "Most connections of a worker.")] = 10_000
    max_connections_per_client: Annotated[
        int, _limits(whole_number(1, 10**6), "Most connections of one client to a worker; others get 503.")
    ] = 1000
    when_full: Annotated[
        Literal["wait", "refuse"],
        _limits(choice("wait", "refuse"), "Beyond max_connections leave them in the queue, or answer 503."),
    ] = "wait"
    keep_alive_requests: Annotated[
        int, _limits(whole_number(1, 10**9), "A connection ends after so many requests.")
    ] = 1_000_000

    log: Annotated[str, _logging(path("-", JOURNALD), "Log here; - is standard error, journald systemd's journal.")] = (
        "-"
    )
    log_level: Annotated[
        Literal["error", "warning", "info", "debug"], _logging(_levels, "Least severe of what is logged.")
    ] = "info"
    access_log: Annotated[
        str, _logging(path("off", "-", JOURNALD), "Log requests here; - is standard output; or journald.")
    ] = "off"

    access_log_format: Annotated[
        str, _logging(_access_log_format, "Its lines: common, combined, json, or directives of mod_log_config.")
    ] = "combined"

    hello: Hello = Hello()

    @property
    def loop_timeout(self) -> float:
        """How long the loop of a worker may stand still, 0 for ever: with one thread, the application runs in it."""
        bounds = (self.hang_timeout, self.request_timeout if self.threads == 1 else 0)
        return min(filter(None, bounds), default=0.0)
