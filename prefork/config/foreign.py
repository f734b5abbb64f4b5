"""What the options of gunicorn, uWSGI and uvicorn are called here, where the name alone doesn't lead there.

Those of which there is none here are listed too, where their name resembles that of something else; and those for what
is always so. Their settings in files are the same, with `_` for `-`.
"""

from collections.abc import Mapping
from typing import Final

LEAVE_OUT: Final = "leave it out, none is needed"  # of what is NEEDLESS

# fmt: off
OURS: Final[Mapping[str, str]] = {
    "--address": "--bind", "--host": "--bind", "--http": "--bind", "--http-socket": "--bind",
    "--port": "--bind", "--socket": "--bind", "--uds": "--bind", "--umask": "--unix-mode", "--chmod-socket": "--unix-mode",
    "--callable": "--app", "--module": "--app", "--wsgi-file": "--app", "--app-dir": "--pythonpath",
    "--ini": "--config", "--xml": "--config", "--yaml": "--config", "--json": "--config", "--config-file": "--config",
    "--wsgi-app": "--app", "--processes": "--workers", "--worker-class": "--threads", "-k": "--threads",
    "--gevent": "--threads", "--listen": "--backlog", "--reuse-port": "--accept", "--procname-prefix": "--name", "-n": "--name",
    "--env": "--env-file", "--raw-env": "--env-file", "-e": "--env-file", "--root-path": "--url-prefix", "--mount": "--url-prefix",
    "--manage-script-name": "--url-prefix", "--show-config": "--print-config",
    "--harakiri": "--hang-timeout", "--timeout": "--hang-timeout", "-t": "--hang-timeout",
    "--http-keepalive": "--keep-alive-timeout", "--http-timeout": "--header-timeout", "--socket-timeout": "--write-timeout",
    "--worker-reload-mercy": "--graceful-timeout", "--reload-mercy": "--graceful-timeout",
    "--timeout-graceful-shutdown": "--graceful-timeout", "--timeout-keep-alive": "--keep-alive-timeout",
    "--max-requests-delta": "--recycle-jitter", "--max-requests-jitter": "--recycle-jitter",
    "--max-worker-lifetime": "--max-lifetime", "--reload-on-rss": "--max-memory", "--evil-reload-on-rss": "--max-memory",
    "--limit-concurrency": "--max-connections", "--worker-connections": "--max-connections",
    "--limit-request-fields": "--limit-fields", "--limit-request-field_size": "--limit-field",
    "--limit-request-field-size": "--limit-field", "--errorlog": "--log", "--reload-engine": "--reload",
    "--limit-post": "--limit-body", "--post-buffering": "--body-buffer",
    "--py-autoreload": "--reload", "--lazy-apps": "--preload", "--proxy-allow-from": "--proxy-allow-ips",
    "--http-enable-proxy-protocol": "--proxy-protocol", "--buffer-size": "--limit-head",
    "--certfile": "--tls-cert", "--ssl-certfile": "--tls-cert", "--https": "--tls-cert",
    "--keyfile": "--tls-key", "--ssl-keyfile": "--tls-key", "--ssl-version": "--tls-min",
    "--uid": "--user", "-u": "--user", "--gid": "--group", "-g": "--group",
    "--daemonize": "--daemon", "-D": "--daemon", "--pid": "--pid-file", "--pidfile": "--pid-file",
    "--error-logfile": "--log", "--log-file": "--log", "--logto": "--log",
    "--post-fork": "--hooks", "--post-worker-init": "--hooks", "--worker-exit": "--hooks", "--pre-fork": "--hooks",
    "--when-ready": "--hooks", "--on-starting": "--hooks", "--access-logfile": "--access-log", "--access-logformat": "--access-log-format", "--log-format": "--access-log-format",
}
NONE: Final = frozenset({
    "--attach-daemon", "--ca-certs", "--cheap", "--cron", "--header-map", "--idle", "--log-config", "--offload-threads", "--stats",
    "--touch-reload",
})
NEEDLESS: Final = frozenset({
    "--capture-output", "--sendfile", "--die-on-term", "--enable-threads", "--master", "-M", "--need-app", "--no-sendfile", "--single-interpreter",
    "--thunder-lock", "--vacuum", "--worker-tmp-dir",
})
# fmt: on
