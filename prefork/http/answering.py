"""The answers of one connection: how what an application gives becomes what is written, at once or little by little.

An answer that is all there is returned. One that the application gives piece by piece, or whose body is too long to be
copied, is begun; the rest is asked for when the client has taken the beginning. While another thread is at work, what
it will be done with is `pending`. The requests are the other half, in protocol.py.
"""

from typing import Protocol as Interface

from prefork.http.answers import Answer, File, Pending, Stream, Truncated, Whole
from prefork.http.content import Content
from prefork.http.messages import CLOSE, FRAMINGS, WITHOUT_CONTENT, Framing, Peer, Rejection, Request, Response
from prefork.http.outgoing import Outgoing
from prefork.http.response import LONGEST_JOINED
from prefork.http.service import Service
from prefork.http.waiting import APPLICATION, HEAD, LAST, NOTHING, REQUEST


class Observer(Interface):
    """Who wants to know what is answered. Sizes are in bytes, `body` being what of them is content."""

    def answered(self, head: bytes, request: Request | None, status: int, *, size: int, body: int, more: bool) -> None:
        """Note the answer to a request with this head, None where it was refused; `more` of it may come."""

    def grew(self, *, size: int, body: int) -> None:
        """Note that the latest answer goes on."""

    def ended(self) -> None:
        """Note that the latest answer, of which more might come, is whole."""


class Answering:
    """What a connection gives out, and all that it is between two reads.

    `behind` tells of more to be given out once what was is sent, `pending` of what the application is at work on
    elsewhere. With `cut` the connection has to end in such a way that the peer can't take what it got for all.
    """

    __slots__ = (
        "_draining", "_head", "_is_last", "_left", "_long", "_observer", "_outgoing", "_peer", "_request", "_service", "_unread",
        "behind", "cut", "keep_alive", "peer_is_done", "pending", "waiting_for",
    )  # fmt: skip

    def __init__(self, service: Service, peer: Peer, observer: Observer | None = None) -> None:
        self._service = service
        self._peer = peer
        self._observer = observer
        self._unread = b""
        self._head = b""
        self._request: Request | None = None
        self._outgoing: Outgoing | None = None
        self._long = b""  # the body of an answer whose head has been given out
        self._is_last = False  # whether the connection ends with it
        self._left = service.limits.requests  # to be answered, of which the last ends the connection
        self._draining = self._left == 1
        self.pending: Pending | None = None
        self.behind = False
        self.cut = False
        self.keep_alive = True
        self.peer_is_done = False
        self.waiting_for = LAST if self._draining else REQUEST

    @property
    def file(self) -> File | None:
        """What is to be sent of a file, once all that was returned is, before anything else; None where nothing is."""
        file = self._outgoing.file if self._outgoing is not None else None
        return file if file is not None and file.left else None

    @property
    def is_streaming(self) -> bool:
        """Whether an answer has begun of which not all is given out."""
        return self._outgoing is not None or bool(self._long)

    @property
    def occupying(self) -> str:
        """The request that a thread is at work on, as in the log; empty where none is."""
        if self.pending is None or self._request is None or not self.pending.has_begun:
            return ""
        return self._request.asked.decode()

    def drain(self) -> None:
        """Let the next answer be the last."""
        self._draining = True
        if self.waiting_for is REQUEST:
            self.waiting_for = LAST

    def abandon(self) -> None:
        """Let the application know that nothing more is wanted of it."""
        if self._outgoing is not None:
            self._outgoing.close()
            self._outgoing = None
        if self.pending is not None:
            self.pending.abandon()
            self.pending = None
        self._long = b""

    def _answer(self, request: Request, content: Content | None) -> bytes:
        return self._give(self._service.respond(request, self._peer, content), request)

    def _give(self, answer: Answer, request: Request) -> bytes:
        """Return an answer, or the beginning of one."""
        if isinstance(answer, Pending):
            self._request = request
            self.pending = answer
            self.waiting_for = APPLICATION
            return b""
        framing = FRAMINGS[CLOSE, request.framing.head_only] if self._draining else request.framing
        self._service.requests += 1
        self._left -= 1
        if self._left == 1:
            self.drain()
        if isinstance(answer, Stream):
            if not framing.head_only and answer.head.status not in WITHOUT_CONTENT:
                return self._begin(answer, request, framing)
            answer.close()
            answer = Whole(answer.head)
        return self._give_whole(answer, request, framing)

    def _give_whole(self, answer: Response | Whole, request: Request, framing: Framing) -> bytes:
        renderer = self._service.renderer
        if isinstance(answer, Whole):
            status = answer.head.status
            given, long = renderer.whole(answer, framing)
        else:
            status = answer.status
            given, long = renderer.render(answer, framing), b""
        if self._observer is not None:
            body = 0 if framing.head_only else len(answer.body)
            self._observer.answered(self._head, request, status, size=len(given) + len(long), body=body, more=False)
        if long:
            self._long, self._is_last = long, not framing.keep_alive
            self.waiting_for, self.behind = APPLICATION, True
        elif not framing.keep_alive:
            self._stop()
        return given

    def _begin(self, stream: Stream, request: Request, framing: Framing) -> bytes:
        """Return the head of a streamed answer, and the first piece where it is there and may be copied."""
        outgoing = self._outgoing = Outgoing(stream, request, framing)
        self.waiting_for = APPLICATION
        head = outgoing.head(self._service.renderer)
        if self._observer is not None:
            size = len(head) + outgoing.content
            self._observer.answered(
                self._head, request, stream.head.status, size=size, body=outgoing.content, more=True
            )
        if outgoing.file is not None or (stream.head.length or 0) > LONGEST_JOINED:
            self.behind = True
            return head
        return head + self._pull(outgoing)

    def _go_on(self) -> bytes:
        """Return what comes next of what the application gives."""
        if self._long:
            return self._give_long()
        pending, self.pending = self.pending, None
        if self._outgoing is not None:
            return self._pull(self._outgoing, pending)
        assert pending is not None
        assert self._request is not None
        self._rest()
        return self._give(pending.answer(), self._request)

    def _give_long(self) -> bytes:
        """Return the long body of an answer, the very object that the application gave."""
        body, self._long = self._long, b""
        if self._is_last:
            self._stop()
        else:
            self._rest()
        return body

    def _pull(self, outgoing: Outgoing, pending: Pending | None = None) -> bytes:
        """Return the next piece, from what was at work on it if anything was."""
        self.behind = False
        before = outgoing.content
        try:
            piece = outgoing.pull() if pending is None else outgoing.framed(pending.piece())
        except Truncated:
            self.cut = True
            self._stop()
            return b""
        if isinstance(piece, Pending):
            self.pending = piece
            return b""
        if self._observer is not None:
            self._observer.grew(size=len(piece), body=outgoing.content - before)
        if outgoing.over:
            self._end(outgoing)
        else:
            self.behind = True
        return piece

    def _end(self, outgoing: Outgoing) -> None:
        outgoing.close()
        self._outgoing = None
        if self._observer is not None:
            self._observer.ended()
        if outgoing.framing.keep_alive:
            self._rest()
        else:
            self._stop()

    def _rest(self) -> None:
        """Wait for the next request, or go on with those that have come meanwhile."""
        self.waiting_for = HEAD if self._unread else LAST if self._draining else REQUEST
        self.behind = bool(self._unread)

    def _reject(self, rejection: Rejection) -> bytes:
        self._stop()
        head_only = self._head.startswith((b"HEAD ", b"\r\nHEAD "))  # RFC 9110 §9.3.2, whatever is wrong with it
        response, answer = self._service.refuse(rejection, self._peer, head_only=head_only)
        if self._observer is not None:
            body = 0 if head_only else len(response.body)
            self._observer.answered(self._head, None, response.status, size=len(answer), body=body, more=False)
        return answer

    def _stop(self) -> None:
        self.abandon()
        self.waiting_for = NOTHING
        self.keep_alive = False
        self._unread = b""
        self.behind = False
