"""What follows from a configuration before anything runs."""

import pytest
from msgspec.structs import replace

from prefork.apps.interface import Application
from prefork.config.schema import Config
from prefork.http.content import Content
from prefork.http.messages import Limits, Peer, Request, Response
from prefork.http.waiting import Waiting
from prefork.run.terms import terms
from prefork.worker.connection import Writing


def respond(_request: Request, _peer: Peer, _content: Content | None) -> Response:
    return Response(200)


def test_a_worker_serves_by_the_limits_and_timeouts_of_the_configuration() -> None:
    config = Config(
        limit_request_line=100, limit_head=200, limit_fields=3, limit_body=4, limit_field=5, limit_chunk_extensions=6,
        keep_alive_requests=7, limit_pipelined=8,
        keep_alive_timeout=1.0, header_timeout=2.0, body_timeout=3.0, write_timeout=4.0, graceful_timeout=5.0,
    )  # fmt: skip
    seen = terms(config, Application(respond))
    assert seen.limits == Limits(
        request_line=100, head=200, fields=3, body=4, field=5, chunk_extensions=6, requests=7, pipelined=8
    )
    assert {what: seen.timeouts[what] for what in (Waiting.REQUEST, Waiting.HEAD, Waiting.BODY, Writing.ANSWER)} == {
        Waiting.REQUEST: 1.0, Waiting.HEAD: 2.0, Waiting.BODY: 3.0, Writing.ANSWER: 4.0,
    }  # fmt: skip
    assert (seen.graceful_timeout, seen.application) == (5.0, Application(respond))


@pytest.mark.parametrize(("level", "shown"), [("debug", True), ("info", False)])
def test_heads_are_shown_at_level_debug(level: str, *, shown: bool) -> None:
    assert terms(replace(Config(), log_level=level), Application(respond)).show_heads is shown


def test_the_defaults_of_the_limits_are_those_of_the_configuration() -> None:
    assert terms(Config(), Application(respond)).limits == Limits()
