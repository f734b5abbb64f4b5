"""One connection's HTTP/1.1, fed with bytes and drained of bytes; no socket, no clock.

`receive` answers all whole requests in what was read, in their order, so that a pipelined batch is one send. When the
answers are many, the rest of the requests wait, and it is `behind`. Between two requests nothing is kept but the bytes
that were read too many. After a refused request the connection only drops what comes: nothing after a rejected byte is
ever parsed.

The shell around it owns the socket and the time: it writes what is returned, closes when `keep_alive` has become
False, and asks `waiting_for` which timeout runs. `peer_is_done` tells of a peer that said that it sends nothing more.
"""

from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeAlias

from msgspec import Struct

from prefork.http.body import ChunkedBody, FixedBody
from prefork.http.faults import cannot_become_head, fault
from prefork.http.head import HeadParser, Heads, excess
from prefork.http.messages import CLOSE, FRAMINGS, Limits, Rejection, Request, Response
from prefork.http.response import CONTINUE, Renderer, rejected

END_OF_HEAD: Final = b"\r\n\r\n"
HIGH_WATER: Final = 64 * 1024  # bytes of answers, after which no other request is answered before they are sent

Respond: TypeAlias = Callable[[Request], Response]
Observe: TypeAlias = Callable[[bytes, Request | None, Response, int], None]


class Waiting(Enum):
    """What a connection waits for from its peer; each has its timeout."""

    REQUEST = "a request"
    LAST = "a last request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    NOTHING = "nothing"


# Looking them up in the enum would cost 0.03 µs each.
REQUEST: Final = Waiting.REQUEST
LAST: Final = Waiting.LAST
HEAD: Final = Waiting.HEAD
BODY: Final = Waiting.BODY
NOTHING: Final = Waiting.NOTHING


class Parcel(Struct, frozen=True, omit_defaults=True):
    """All that a protocol is between two reads: what it takes to go on elsewhere.

    `unread` is the beginning of a head; `head` that of the request whose `body` is being received. After the last answer
    nothing is received any more, and `peer_is_done` is all that is left to know. `answered` counts requests.
    """

    unread: bytes = b""
    head: bytes = b""
    body: FixedBody | ChunkedBody | None = None
    keep_alive: bool = True
    peer_is_done: bool = False
    answered: int = 0


class Service:
    """What the connections of a worker share: the application, the limits, what is remembered and counted.

    `refused` counts by status and reason.
    """

    __slots__ = ("heads", "limits", "refused", "renderer", "requests", "respond")

    def __init__(self, respond: Respond, limits: Limits) -> None:
        self.respond = respond
        self.limits = limits
        self.heads = Heads(limits)
        self.renderer = Renderer()
        self.requests = 0
        self.refused: Counter[tuple[int, str]] = Counter()

    def refuse(self, rejection: Rejection, *, head_only: bool = False) -> tuple[Response, bytes]:
        """Count what is refused, and return the answer to it, also in bytes; the connection ends with it."""
        self.refused[rejection.status, rejection.reason] += 1
        response = rejected(rejection)
        return response, self.renderer.render(response, FRAMINGS[CLOSE, head_only])


class Protocol:
    """The requests of one connection and their answers.

    `observe` is told each head, its request (None where it was refused), the answer and its size in bytes; it is None where
    nobody looks.
    """

    __slots__ = (
        "_body", "_draining", "_head", "_left", "_observe", "_request", "_service", "_unread",
        "behind", "keep_alive", "peer_is_done", "waiting_for",
    )  # fmt: skip

    def __init__(self, service: Service, observe: Observe | None = None) -> None:
        self._service = service
        self._observe = observe
        self._unread = b""
        self._head = b""
        self._request: Request | None = None
        self._body: FixedBody | ChunkedBody | None = None
        self._left = service.limits.requests  # to be answered, of which the last ends the connection
        self._draining = self._left == 1
        self.behind = False
        self.keep_alive = True
        self.peer_is_done = False
        self.waiting_for = LAST if self._draining else REQUEST

    def receive(self, data: bytes) -> bytes:
        """Take what was read and return what is to be written, empty when no request is whole yet.

        While it is `behind`, nothing is to be read, and `receive(b"")` answers some more once the others are sent.
        """
        # Written out for one whole request that is remembered or plain, as nearly all are: it saves 0.15 µs of calls.
        if self.waiting_for is REQUEST and self._observe is None:
            service = self._service
            request = service.heads.remembered.get(data)
            if request is None and data.endswith(END_OF_HEAD):
                request = service.heads.get_plain(data)
            if request is not None:
                service.requests += 1
                self._left -= 1
                if self._left == 1:
                    self.drain()
                response = service.respond(request)
                framing = request.framing
                if not framing.keep_alive:
                    self._stop()
                    self.peer_is_done = True
                return service.renderer.rendered[framing].get(response) or service.renderer.render(response, framing)
        return self._receive(data)

    def leave(self) -> Parcel:
        """Return what it takes to go on elsewhere. The bytes that were read and not answered are in it."""
        head = self._head if self._body is not None else b""
        answered = self._service.limits.requests - self._left
        return Parcel(self._unread, head, self._body, self.keep_alive, self.peer_is_done, answered)

    def resume(self, parcel: Parcel) -> None:
        """Go on where another left; for a protocol that has not received anything yet."""
        self._unread = parcel.unread
        self.peer_is_done = parcel.peer_is_done
        self._left = max(1, self._left - parcel.answered)
        if self._left == 1:
            self.drain()
        if not parcel.keep_alive:
            self._stop()
        elif parcel.body is not None:
            self._head = parcel.head
            size = len(parcel.head)  # it was within the limits where it came in, which may be lower here
            self._request = HeadParser(Limits(size, size, size, size)).parse(parcel.head)
            self._body = parcel.body
            self.waiting_for = BODY
        elif parcel.unread:
            self.waiting_for = HEAD
            self.behind = END_OF_HEAD in parcel.unread

    def drain(self) -> None:
        """Let the next answer be the last."""
        self._draining = True
        if self.waiting_for is REQUEST:
            self.waiting_for = LAST

    def expire(self) -> bytes:
        """Give up waiting and return what the peer is told: 408 in the middle of a request, else nothing."""
        if self.waiting_for in (HEAD, BODY):
            return self._reject(Rejection(408, f"waited too long for {self.waiting_for.value}"))
        self._stop()
        return b""

    @property
    def unanswered(self) -> tuple[bytes, bool]:
        """The head of a request that is not answered, as much as there is of it, and whether it is whole and valid."""
        return (self._head, True) if self.waiting_for is BODY else (self._unread, False)

    def _receive(self, data: bytes) -> bytes:
        answers: list[bytes] = []
        if self.behind:
            data, self._unread, self.behind = self._unread + data, b"", False
        try:
            if self.waiting_for is REQUEST and 0 < data.find(END_OF_HEAD) == len(data) - len(END_OF_HEAD):
                return self._receive_head(data)  # a short cut for what is nearly always read
            while data and self.waiting_for is not NOTHING and not self.behind:
                take = self._take_body if self.waiting_for is BODY else self._take_heads
                data = take(data, answers)
        except Rejection as rejection:
            answers.append(self._reject(rejection))
        return b"".join(answers)

    def _receive_head(self, head: bytes) -> bytes:
        """Answer one whole head that came alone, or ask for its body."""
        self._head = head
        request = self._service.heads.get(head)
        if request.body_length == 0:
            self.peer_is_done = not request.framing.keep_alive
            return self._answer(request)
        answers: list[bytes] = []
        self._begin_body(request, b"", answers)
        return b"".join(answers)

    def _take_heads(self, data: bytes, answers: list[bytes]) -> bytes:
        """Answer the requests in `data` up to the first with a body; return the bytes that follow its head."""
        room, depth = HIGH_WATER - sum(map(len, answers)), self._service.limits.pipelined
        find_from = max(0, len(self._unread) - len(END_OF_HEAD))
        data = self._unread + data
        remembered, get = self._service.heads.remembered, self._service.heads.get
        start = 0
        while room > 0 and len(answers) < depth and (end := data.find(END_OF_HEAD, find_from)) >= 0:
            find_from = end + len(END_OF_HEAD)
            head = self._head = data[start:find_from]
            start = find_from
            request = remembered.get(head) or get(head)
            if request.body_length != 0:
                return self._begin_body(request, data[start:], answers)
            answer = self._answer(request)
            answers.append(answer)
            room -= len(answer)
            if not self.keep_alive:
                self.peer_is_done = start == len(data) and not request.framing.keep_alive
                return b""
        if start < len(data) and (room <= 0 or len(answers) >= depth):
            self.behind = True
            self._unread = data[start:]
            self.waiting_for = HEAD
            return b""
        self._keep(data[start:], len(self._unread) if start == 0 else 0)
        return b""

    def _keep(self, unread: bytes, checked: int) -> None:
        """Keep the beginning of a head, of which `checked` bytes have been looked at before."""
        self._head = unread
        if rejection := excess(unread, self._service.limits):
            raise rejection
        if cannot_become_head(unread, checked):
            raise fault(unread)
        self._unread = unread
        self.waiting_for = HEAD if unread else LAST if self._draining else REQUEST

    def _begin_body(self, request: Request, rest: bytes, answers: list[bytes]) -> bytes:
        limits, length = self._service.limits, request.body_length
        if length is None:
            self._body = ChunkedBody(limits.body, limits.chunk_extensions)
        else:
            self._body = FixedBody(length, limits.body)
        self._unread = b""
        self._request = request
        self.waiting_for = BODY
        if request.expects_continue and not rest:  # RFC 9110 §10.1.1: not once the body has begun to arrive
            answers.append(CONTINUE)
        return rest

    def _take_body(self, data: bytes, answers: list[bytes]) -> bytes:
        """Drop what belongs to the body, and answer at its end; return the bytes that follow it."""
        assert self._body is not None
        assert self._request is not None
        rest = self._body.feed(data)
        if rest is None:
            return b""
        request, self._request, self._body = self._request, None, None
        self.waiting_for = REQUEST
        answers.append(self._answer(request))
        return rest

    def _answer(self, request: Request) -> bytes:
        self._service.requests += 1
        response = self._service.respond(request)
        framing = request.framing
        if self._draining:
            framing = FRAMINGS[CLOSE, framing.head_only]
        self._left -= 1
        if self._left == 1:
            self.drain()
        answer = self._service.renderer.render(response, framing)
        if self._observe is not None:
            self._observe(self._head, request, response, len(answer))
        if not framing.keep_alive:
            self._stop()
        return answer

    def _reject(self, rejection: Rejection) -> bytes:
        self._stop()
        head_only = self._head.startswith((b"HEAD ", b"\r\nHEAD "))  # RFC 9110 §9.3.2, whatever is wrong with it
        response, answer = self._service.refuse(rejection, head_only=head_only)
        if self._observe is not None:
            self._observe(self._head, None, response, len(answer))
        return answer

    def _stop(self) -> None:
        self.waiting_for = NOTHING
        self.keep_alive = False
        self._unread = b""
        self.behind = False
        self._request = None
        self._body = None
