"""Serves a WSGI application (PEP 3333): a request becomes a call, and what the call returns becomes an answer.

The application is called when all of a request is there, unless it is to ask for it (awaited.py), and what it returns
is pulled as fast as the client takes it, so that no client occupies it. What it raises is logged with the request and
its traceback: the client gets 500 where nothing was sent yet, and else a connection that is cut, so that no truncated
answer looks whole.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, TypeAlias

from prefork.apps.answer_heads import with_length
from prefork.apps.awaited import LeftError
from prefork.apps.blame import blame
from prefork.apps.content import NO_CONTENT
from prefork.apps.environ import Environ, Environs
from prefork.apps.error_stream import ErrorStream
from prefork.apps.exchange import LATE, Exchange, FileWrapper, LengthError, Pieces, wrong_content
from prefork.apps.failing import Failed, unexplained
from prefork.apps.forked import end_if_forked, status_of
from prefork.apps.note import Note
from prefork.http.answers import AnswerHead, File, Stream, Truncated, Whole, nothing
from prefork.http.content import Content
from prefork.http.forwarded import Forwarding
from prefork.http.messages import WITHOUT_CONTENT, Peer, Request
from prefork.logs.log import Log
from prefork.version import VERSION

Wsgi: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]  # Any: as the PEP has them


class Gateway:
    """Answers requests by a WSGI application. Everything that the application raises ends here."""

    def __init__(
        self,
        application: Wsgi,
        forwarding: Forwarding,
        log: Log,
        note: Note,
        *,
        prefix: str = "",
        multithread: bool = False,
        failed: Failed = unexplained,
    ) -> None:
        self._pid = os.getpid()
        self._application = application
        self._log = log
        self._note = note
        self._failed = failed
        base = {
            "SCRIPT_NAME": "",
            "SERVER_SOFTWARE": f"prefork/{VERSION}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": NO_CONTENT,
            "wsgi.input_terminated": True,
            "wsgi.errors": ErrorStream(log),
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }
        self._environ = Environs(base, forwarding, prefix).make

    def respond(self, request: Request, peer: Peer, content: Content | None) -> Whole | Stream:
        """Call the application, and return its answer."""
        note = self._note
        if request is not note.latest or monotonic() > note.due:
            note.tell(request)
        exchange = Exchange()
        try:
            environ = self._environ(request, peer, content)
            result = self._application(environ, exchange.start_response)
            if (result.__class__ is list or result.__class__ is tuple) and exchange.written is None:
                exchange.written = LATE
                if content is not None:
                    content.close()
                head = exchange.head
                # Written out for what is usual, which saves a call.
                if len(result) == 1 and (body := result[0]).__class__ is bytes and head and head.length == len(body):
                    return Whole(head, body)
                return whole(head, result, request)
            streaming = Streaming(self._log, note, request, Pieces(exchange, result), content, failed=self._failed)
        except BaseException as error:  # noqa: BLE001 - the application's
            if (status := status_of(error)) is not None:
                end_if_forked(self._pid, status)
            report(self._log, request, error)
            end_if_forked(self._pid)
            for each in (exchange.written, content):
                if each is not None:
                    each.close()
            return self._failed(error)
        return streaming.begin(exchange, result)


class Streaming:
    """An answer that the application gives piece by piece, or out of a file."""

    def __init__(
        self, log: Log, note: Note, request: Request, pieces: Pieces, content: Content | None, *, failed: Failed
    ) -> None:
        self._log = log
        self._note = note
        self._request = request
        self._pieces = pieces
        self._content = content
        self._failed = failed
        self._file: File | None = None

    def begin(self, exchange: Exchange, result: object) -> Whole | Stream:
        """Return the answer, or what is answered in its place."""
        try:
            if isinstance(result, FileWrapper) and self._pieces.written is None:
                head = said(exchange.head)
                self._file = file = result.file(head.length)
                if file is not None:
                    return Stream(head_of_file(head, file), nothing, self.close, file)
            has_content = self._pieces.begin()
            head = said(exchange.head)
            if has_content:
                self._pieces.expect(head.length)
                return Stream(head, self.pull, self.close)
            empty = whole(head, (), self._request)
        except BaseException as error:  # noqa: BLE001 - the application's
            report(self._log, self._request, error)
            empty = self._failed(error)
        self.close()
        return empty

    def pull(self) -> bytes | None:
        """Return the next piece, None at the end; raises Truncated."""
        self._note.tell(self._request)
        try:
            return self._pieces.pull()
        except BaseException as error:  # noqa: BLE001 - the application's
            report(self._log, self._request, error)
            raise Truncated from None

    def close(self) -> None:
        """Let the application, and what it read, be done with."""
        try:
            self._pieces.close()
        except BaseException as error:  # noqa: BLE001 - the application's
            report(self._log, self._request, error)
        if self._file is not None and self._file.problem:
            self._tell("file can't be sent", reason=self._file.problem)
        if self._pieces.excess:
            self._tell("answer cut to its Content-Length", surplus=self._pieces.excess)
        if self._content is not None:
            self._content.close()

    def _tell(self, event: str, **fields: object) -> None:
        self._log.error(event, request=self._request.asked.decode(), **fields)


def whole(head: AnswerHead | None, result: Sequence[bytes], request: Request) -> Whole:
    """Return an answer all of whose content is there; raises what tells that it can't be given."""
    body = result[0] if len(result) == 1 else b"".join(result)
    head = said(head)
    if not isinstance(body, bytes):
        raise TypeError(wrong_content(body))
    if head.length != len(body) and head.length is not None and request.method != b"HEAD":
        raise LengthError(f"Content-Length says {head.length} bytes, and there are {len(body)}")
    return Whole(head, b"" if head.status in WITHOUT_CONTENT else body)


def head_of_file(head: AnswerHead, file: File) -> AnswerHead:
    """Return the head with the file's length in it, if it is sent; raises LengthError for a file that is too short."""
    if head.length is None:
        return head if head.status in WITHOUT_CONTENT else with_length(head, file.left)
    if head.length > file.left:
        raise LengthError(f"Content-Length says {head.length} bytes, and the file has {file.left}")
    return head


def said(head: AnswerHead | None) -> AnswerHead:
    """Return what `start_response` was called with."""
    if head is None:
        raise AssertionError("the application did not call start_response (PEP 3333)")
    return head


def report(log: Log, request: Request, error: BaseException) -> None:
    """Log what the application raised while it answered this request, without blame where its client has left."""
    if isinstance(error, LeftError):
        log.info("application stopped", request=request.asked.decode(), reason=error)
    else:
        blame(log, "application failed", error, request=request.asked.decode())
