"""What a worker serves by, as its parts want it from the configuration. Pure."""

from collections.abc import Callable, Sequence

from prefork.config.schema import Config
from prefork.http.forwarded import Forwarding
from prefork.http.messages import Limits
from prefork.http.trust import trusting
from prefork.worker.admitting import Capacity
from prefork.worker.opening import Opener
from prefork.worker.proxied import proxy_opener


def limits(config: Config) -> Limits:
    """Return what peers may send."""
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


def capacity(config: Config) -> Capacity:
    """Return how many connections there may be; of proxies, which are believed either way, as many as they want."""
    return Capacity(
        config.max_connections,
        config.max_connections_per_client,
        config.when_full == "wait",
        trusting((*config.forwarded_allow_ips, *_senders(config))),
    )


def believing(config: Config, on_stranger: Callable[[bytes, bytes], object]) -> Forwarding:
    """Return whom a worker believes; `on_stranger` is told the first other one, which may be a proxy of the user's.

    Nobody is told of where nobody is to be believed, or where the PROXY protocol says whose each connection is.
    """
    networks = config.forwarded_allow_ips
    return Forwarding(trusting(networks), on_stranger if networks and not config.proxy_protocol else None)


def openers(config: Config, tls: Opener | None) -> tuple[Opener, ...]:
    """Return the steps before HTTP, of which `tls` is the last."""
    senders = _senders(config)
    return tuple(filter(None, (proxy_opener(trusting(senders)) if senders else None, tls)))


def _senders(config: Config) -> Sequence[str]:
    """Return who sends the header of the PROXY protocol."""
    return config.proxy_allow_ips if config.proxy_protocol else ()
