"""What a worker takes from a configuration before anything runs."""

from socket import SocketType

import pytest

from prefork.config.schema import Config
from prefork.http.forwarded import Client
from prefork.http.messages import Limits, Peer
from prefork.worker.admitting import Capacity
from prefork.worker.opening import Step
from prefork.worker.terms import believing, capacity, limits, openers


def test_what_peers_may_send_is_what_the_configuration_says() -> None:
    config = Config(
        limit_request_line=100, limit_head=200, limit_fields=3, limit_body=4, limit_field=5, limit_chunk_extensions=6,
        keep_alive_requests=7, limit_pipelined=8,
    )  # fmt: skip
    assert limits(config) == Limits(
        request_line=100, head=200, fields=3, body=4, field=5, chunk_extensions=6, requests=7, pipelined=8
    )


def test_the_defaults_of_the_limits_are_those_of_the_configuration() -> None:
    assert limits(Config()) == Limits()


def test_those_who_are_believed_either_way_have_as_many_connections_as_they_want() -> None:
    config = Config(max_connections=5, max_connections_per_client=2, when_full="refuse", proxy_allow_ips=("192.0.2.1",))
    found = capacity(config)
    assert found == Capacity(5, 2, wait=False, is_proxy=found.is_proxy)
    assert [found.is_proxy(each) for each in (b"127.0.0.1", b"192.0.2.1", b"192.0.2.2")] == [True, False, False]
    speaking = Config(proxy_protocol=True, proxy_allow_ips=("192.0.2.1",), forwarded_allow_ips=())
    assert [capacity(speaking).is_proxy(each) for each in (b"127.0.0.1", b"192.0.2.1")] == [False, True]


def test_tls_begins_behind_the_header_of_a_proxy_where_there_is_one() -> None:
    def tls(_peer: Peer, _sock: SocketType) -> list[Step]:
        return []

    assert openers(Config(), None) == ()
    assert openers(Config(), tls) == (tls,)
    first, last = openers(Config(proxy_protocol=True), tls)
    assert first is not last is tls


@pytest.mark.parametrize(
    ("config", "client", "told"),
    [
        (Config(), b"192.0.2.9", [b"198.51.100.7"]),
        (Config(proxy_protocol=True), b"192.0.2.9", []),
        (Config(forwarded_allow_ips=()), b"127.0.0.1", []),
    ],
)
def test_strangers_are_told_of_where_others_are_believed(config: Config, client: bytes, told: list[bytes]) -> None:
    seen: list[bytes] = []
    forwarding = believing(config, lambda address, _field: seen.append(address))
    said = ((b"x-forwarded-for", b"192.0.2.9"),)
    assert forwarding.client(Peer(b"127.0.0.1"), said) == Client(client, b"http")
    assert forwarding.client(Peer(b"198.51.100.7"), said) == Client(b"198.51.100.7", b"http")
    assert seen == told
