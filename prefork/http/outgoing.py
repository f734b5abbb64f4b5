"""A stream on its way to a client: frames its pieces, so that the client knows where it ends (RFC 9112 §6).

By Content-Length where the application or the file says how long it is; in chunks for HTTP/1.1; else the end of the
connection ends it.
"""

from typing import Final

from prefork.http.answers import Pending, Stream
from prefork.http.messages import CLOSE, FRAMINGS, Framing, Request
from prefork.http.response import Renderer

CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"


class Outgoing:
    """The rest of a streamed answer, until it is `over`.

    `framing` tells how the connection goes on after it, `content` how many bytes of it have been given out, and `file`
    what of it the owner of the socket is to send from a file by itself.
    """

    __slots__ = ("_chunked", "_stream", "content", "file", "framing", "over")

    def __init__(self, stream: Stream, request: Request, framing: Framing) -> None:
        unknown = stream.head.length is None
        self._stream = stream
        self._chunked = unknown and request.minor > 0
        self.framing = FRAMINGS[CLOSE, False] if unknown and not self._chunked else framing
        self.file = stream.file
        self.content = self.file.left if self.file else 0
        self.over = False

    def head(self, renderer: Renderer) -> bytes:
        """Return the head of the answer."""
        head = self._stream.head
        return b"%b%b%b" % (head.block, CHUNKED if self._chunked else b"", renderer.tail(head, self.framing))

    def pull(self) -> bytes | Pending:
        """Return the next piece as it is sent, or what says that there is none; raises Truncated."""
        return self.framed(self._stream.pull())

    def framed(self, piece: bytes | Pending | None) -> bytes | Pending:
        """Return a piece as it is sent."""
        if isinstance(piece, Pending):
            return piece
        if piece is None:
            self.over = True
            return LAST_CHUNK if self._chunked else b""
        self.content += len(piece)
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece

    def close(self) -> None:
        """Let the application know that nothing more is wanted."""
        self._stream.close()
