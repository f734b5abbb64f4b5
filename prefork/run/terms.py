"""Translates a configuration into what a worker serves by, in the workers' own words."""

import math

from prefork.apps.interface import Application
from prefork.config.schema import JOURNALD, Config
from prefork.http.forwarded import Forwarding
from prefork.http.messages import Limits
from prefork.http.trust import trusting
from prefork.logs.journal import Journal
from prefork.worker.admitting import Capacity
from prefork.worker.deadlines import timeouts
from prefork.worker.opening import Opener
from prefork.worker.proxied import proxy_opener
from prefork.worker.wearing import Wear
from prefork.worker.worker import Terms


def terms(config: Config, application: Application, tls: Opener | None = None, journal: Journal | None = None) -> Terms:
    """Return what a worker of this configuration serves by, the last step before HTTP being `tls`."""
    senders = config.proxy_allow_ips if config.proxy_protocol else ()  # of the PROXY protocol
    proxy = proxy_opener(trusting(senders)) if senders else None
    return Terms(
        application=application,
        limits=_limits(config),
        timeouts=timeouts(
            keep_alive=config.keep_alive_timeout,
            header=config.header_timeout,
            body=config.body_timeout,
            write=config.write_timeout,
            application=config.request_timeout or math.inf,
        ),
        graceful_timeout=config.graceful_timeout,
        hang_timeout=config.loop_timeout,
        shared=config.accept == "shared",
        opening_timeout=config.handshake_timeout,
        min_data_rate=config.min_data_rate,
        openers=tuple(filter(None, (proxy, tls))),
        journal=journal if config.access_log == JOURNALD else None,
        access_log_format=config.access_log_format,
        forwarding=Forwarding(trusting(config.forwarded_allow_ips)),
        capacity=Capacity(
            config.max_connections,
            config.max_connections_per_client,
            config.when_full == "wait",
            trusting((*config.forwarded_allow_ips, *senders)),
        ),
        wear=Wear(config.max_requests, config.max_lifetime, config.max_memory, config.recycle_jitter),
        show_heads=config.log_level == "debug",
    )


def _limits(config: Config) -> Limits:
    return Limits(
        request_line=config.limit_request_line,
        head=config.limit_head,
        fields=config.limit_fields,
        field=config.limit_field,
        body=config.limit_body,
        chunk_extensions=config.limit_chunk_extensions,
        requests=config.keep_alive_requests,
        pipelined=config.limit_pipelined,
    )
