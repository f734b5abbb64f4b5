"""Clients: a connection as bytes, and a load of them that goes on asking."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Self

from msgspec import Struct

from tests.process.waiting import LIMIT, until

GET: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST_GET: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HALF_A_HEAD: Final = b"GET / HTTP/1.1\r\nHost: loc"
READ_SIZE: Final = 64 * 1024
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER, socket(7): close(2) sends RST


class Answer(Struct, frozen=True):
    """One response; the names of its fields are in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @property
    def is_last(self) -> bool:
        """Whether it announces the end of the connection."""
        return self.fields.get("connection") == "close"


class Client:
    """One connection. Whatever it waits for fails after LIMIT."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(LIMIT)
        self.socket = sock
        self._unread = bytearray()  # as bytes, each piece of a large answer would copy all that was there

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, request: bytes = GET) -> Answer:
        """Send a request and return its answer."""
        self.send(request)
        return self.answer()

    def is_served(self) -> bool:
        """Tell whether a request is answered by 200, and not by the end of the connection."""
        try:
            return self.ask().status == 200
        except OSError:
            return False

    def answer(self, *, to_head: bool = False) -> Answer:
        """Read the next response; that to a HEAD request has no body."""
        head = self._take_until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = b"" if to_head else self._take(int(fields.get("content-length", 0)))
        return Answer(int(status_line.split()[1]), fields, body)

    def chunk(self) -> bytes:
        """Read the next chunk of an answer's content; the last one is empty."""
        chunk = self._take(int(self._take_until(b"\r\n"), 16))
        assert self._take(2) == b"\r\n"
        return chunk

    def take_some(self, size: int = 1000) -> int:
        """Read no more than this of what comes, and return how much it was; `answer` has it then."""
        came = self.socket.recv(size)
        self._unread += came
        return len(came)

    def until_closed(self) -> bytes:
        """Read all that comes until the server closes."""
        while self._fill():
            pass
        return self._take(len(self._unread))

    def half_close(self) -> None:
        """Say that nothing more is sent, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def _take_until(self, mark: bytes) -> bytes:
        while (length := self._unread.find(mark)) < 0:
            self._fill_or_fail()
        return self._take(length + len(mark))[:length]

    def _take(self, length: int) -> bytes:
        while len(self._unread) < length:
            self._fill_or_fail()
        taken = bytes(memoryview(self._unread)[:length])
        del self._unread[:length]
        return taken

    def _fill_or_fail(self) -> None:
        if not self._fill():
            raise ConnectionError(f"closed after {bytes(self._unread)!r}, which is no whole response")

    def _fill(self) -> bool:
        data = self.socket.recv(READ_SIZE)
        self._unread += data
        return bool(data)


class Load:
    """Clients that ask until the block ends, each in its thread: on connections kept alive, and on a new one each time.

    `answers` are counted by status and body; whatever else a client met with is in `lost`.
    """

    def __init__(self, connect: Callable[[], Client], *, keep_alive: int = 3, fresh: int = 3) -> None:
        self.answers: dict[tuple[int, bytes], int] = {}
        self.lost: list[str] = []
        self._connect = connect
        self._running = True
        self._lock = threading.Lock()
        requests = [GET] * keep_alive + [LAST_GET] * fresh
        self._threads = [threading.Thread(target=self._ask_on, args=(request,)) for request in requests]

    @property
    def count(self) -> int:
        """How many requests were answered so far."""
        return sum(self.answers.values())

    def wait_for_more(self, more: int = 100) -> None:
        """Wait until so many further requests were answered."""
        enough = self.count + more
        until(lambda: self.count >= enough, f"{more} more answers")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._running = False
        for thread in self._threads:
            thread.join()

    def _ask_on(self, request: bytes) -> None:
        while self._running:
            try:
                client = self._connect()
                try:
                    self._ask_until_the_last(client, request)
                finally:
                    client.close()
            except OSError as error:
                self.lost.append(repr(error))
                return

    def _ask_until_the_last(self, client: Client, request: bytes) -> None:
        while self._running:
            answer = client.ask(request)
            with self._lock:
                seen = answer.status, answer.body
                self.answers[seen] = self.answers.get(seen, 0) + 1
            if answer.is_last:
                return
            time.sleep(0.001)  # leaves the machine to the server and to other tests
