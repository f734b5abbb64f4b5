"""What the connections of a worker share."""

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from prefork.http.answers import Answer
from prefork.http.content import Awaited, Content
from prefork.http.head import Heads
from prefork.http.messages import CLOSE, FRAMINGS, Limits, Peer, Rejection, Request, Response
from prefork.http.response import Renderer, rejected

# What answers a request: of whom, and with which content, where there is some that anybody reads.
Respond: TypeAlias = Callable[[Request, Peer, Content | None], Answer]
NewContent: TypeAlias = Callable[[], Content]
NewAwaited: TypeAlias = Callable[[], Awaited]


class Service:
    """What the connections of a worker share: the application, the limits, what is remembered and counted.

    `new_content` makes what keeps the content of a request for the application; None where nobody reads it.
    `new_awaited` makes what does so for an application that is to ask for it, None where none is. A peer that
    `is_gateway` may speak TLS with its own clients. `refused` counts by status and reason, and `refused_last` tells
    whose each was that was counted last.
    """

    __slots__ = (
        "heads", "is_gateway", "limits", "new_awaited", "new_content", "refused", "refused_last", "renderer", "requests", "respond",
    )  # fmt: skip

    def __init__(
        self,
        respond: Respond,
        limits: Limits,
        new_content: NewContent | None = None,
        new_awaited: NewAwaited | None = None,
        is_gateway: Callable[[Peer], bool] = lambda _peer: False,
    ) -> None:
        self.respond = respond
        self.is_gateway = is_gateway
        self.new_content = new_content
        self.new_awaited = new_awaited
        self.limits = limits
        self.heads = Heads(limits)
        self.renderer = Renderer()
        self.requests = 0
        self.refused: Counter[tuple[int, str]] = Counter()
        self.refused_last: dict[tuple[int, str], bytes] = {}

    def refuse(self, rejection: Rejection, peer: Peer, *, head_only: bool = False) -> tuple[Response, bytes]:
        """Count what is refused, and return the answer to it, also in bytes; the connection ends with it."""
        self.count(rejection.status, rejection.reason, peer)
        response = rejected(rejection)
        return response, self.renderer.render(response, FRAMINGS[CLOSE, head_only])

    def count(self, status: int, reason: str, peer: Peer) -> None:
        """Count what this peer is refused."""
        self.refused[status, reason] += 1
        self.refused_last[status, reason] = peer.address
