"""The control socket: takes requests of the commands, and keeps who waits for an answer.

A client sends one line, waits, gets one line. Who may do so is root and the user whom the master runs as; how many, how
much and for how long is bounded, so that no client ever holds the master up. What is to be done about a request, and
when it is done, is decided elsewhere.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from prefork.config.addresses import Unix
from prefork.ipc.control import LONGEST_REQUEST, Answer, Health, Request, Status, Stop, decode_request, encode
from prefork.logs.log import Log
from prefork.master.binding import SocketOptions, open_listeners
from prefork.master.errors import StartError
from prefork.master.fleet import Fleet, Reloaded, ReloadFailed
from prefork.master.listeners import Listener
from prefork.master.outcomes import News, Waiting, outcome, resumed
from prefork.master.poller import ENDED, WRITABLE, Poller

MOST_CLIENTS: Final = 64
PATIENCE: Final = 5.0  # seconds within which a client has to send its request, and to take its answer
PEER: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))


class Obeying(Protocol):
    """Somebody who does what is asked for."""

    def expect(self, request: Request) -> Waiting:
        """Return what is to be waited for, before it is begun."""

    def begin(self, request: Request) -> Answer | None:
        """Begin it, and return the answer if it is known now; else it is observed."""


class HeldClient(Struct, frozen=True):
    """A client, with the number of its socket: what it waits for, what it has sent, what it has yet to get."""

    fd: int
    waiting: Waiting | None
    received: bytes
    unsent: bytes


class HeldControl(Struct, frozen=True):
    """The control socket, with its number, for the next program; `file` as of a Listener."""

    path: str
    listener: int
    file: tuple[int, int] | None
    clients: tuple[HeldClient, ...]

    def descriptors(self) -> Iterator[int]:
        """Yield all that are passed on."""
        yield self.listener
        yield from (each.fd for each in self.clients)

    def opened(self) -> Listener:
        """Return the listener, as an object again; call it once."""
        sock = socket.socket(fileno=self.listener)
        sock.settimeout(0)
        return Listener(Unix(self.path), (sock,), self.file)


def listen(path: str) -> Listener:
    """Listen for commands; raises StartError, 69 where somebody else does, 73 where there can be no socket."""
    listeners = open_listeners((Unix(path),), SocketOptions(MOST_CLIENTS, unix_mode=0o600), accept="shared", slots=1)
    return listeners.members[0]


class Control:
    """The socket and its clients."""

    def __init__(self, listener: Listener, poller: Poller, obeying: Obeying, log: Log, farewell: str = "") -> None:
        """`farewell` is what who asks to stop has to know besides."""
        self._listener = listener
        self._socket = listener.sockets[0]
        self._poller = poller
        self._obeying = obeying
        self._log = log
        self._farewell = farewell
        self._clients: set[Client] = set()
        poller.watch(self._socket.fileno(), self._on_caller)
        poller.keep_time(self)

    def observe(self, fleet: Fleet, news: Sequence[News]) -> None:
        """Answer those who waited for this. A reload, however it ends, finds out whether anybody can ask at all."""
        if any(isinstance(each, Reloaded | ReloadFailed) for each in news):
            self._renew()
        for client in list(self._clients):
            if client.waiting is not None and (answer := outcome(client.waiting, fleet, news)) is not None:
                client.answer(with_farewell(answer, client.waiting.request, self._farewell))

    def next_deadline(self) -> float | None:
        """Return when somebody's patience ends."""
        return min((each.deadline for each in self._clients if each.deadline is not None), default=None)

    def expire(self, now: float) -> None:
        """Drop the clients that are late."""
        for client in list(self._clients):
            if client.deadline is not None and client.deadline <= now:
                client.close()

    def held(self) -> HeldControl:
        """Return what an upgrade passes on."""
        assert isinstance(self._listener.address, Unix)
        clients = tuple(each.held() for each in self._clients)
        return HeldControl(self._listener.address.path, self._socket.fileno(), self._listener.file, clients)

    def resume(self, held: HeldControl, generation: int) -> None:
        """Go on with the clients that the former program, whose workers are of this generation, has passed on."""
        for each in held.clients:
            client = self._client(socket.socket(fileno=each.fd))
            client.resume(each, generation)

    def close(self) -> None:
        """Listen no more, at the end."""
        self._listener.close()

    def _renew(self) -> None:
        """Listen anew where the file was removed, as by a cleaner or with the folder of a user who has gone."""
        if self._listener.is_reachable:
            return
        assert isinstance(self._listener.address, Unix)
        try:
            fresh = listen(self._listener.address.path)
        except StartError as error:
            self._log.warning("no commands obeyed", reason=error)
            return
        self._poller.forget(self._socket.fileno())
        self._listener.close()
        self._listener, self._socket = fresh, fresh.sockets[0]
        self._poller.watch(self._socket.fileno(), self._on_caller)

    def _on_caller(self) -> None:
        sock, _ = self._socket.accept()  # who has gone again is there all the same (unix(7))
        _pid, uid = peer(sock)
        if uid not in (0, os.geteuid()):
            refuse(sock, Answer("only root and the user who runs the service may command it", os.EX_NOPERM))
        elif len(self._clients) >= MOST_CLIENTS:
            refuse(sock, Answer(f"{MOST_CLIENTS} commands wait already; try again later", os.EX_TEMPFAIL))
        else:
            self._client(sock)

    def _client(self, sock: socket.socket) -> "Client":
        client = Client(sock, self._poller, self._begin, self._clients.discard)
        self._clients.add(client)
        return client

    def _begin(self, client: "Client", request: Request) -> None:
        pid, uid = peer(client.socket)
        tell = self._log.debug if isinstance(request, Status | Health) else self._log.info
        tell("command", name=type(request).__name__.lower(), pid=pid, uid=uid)
        expected = self._obeying.expect(request)
        client.wait(expected)
        answer = self._obeying.begin(expected.request)
        if answer is not None:
            client.answer(answer)


class Client:
    """One connection: reads, waits, answers, closes. `waiting` while it waits, `deadline` while its time is bounded."""

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        begin: Callable[["Client", Request], None],
        closed: Callable[["Client"], None],
    ) -> None:
        sock.settimeout(0)
        self.socket = sock
        self.waiting: Waiting | None = None
        self.deadline: float | None = monotonic() + PATIENCE
        self._poller = poller
        self._begin = begin
        self._closed = closed
        self._received = b""
        self._unsent = b""
        self._ends_with_master = False
        poller.watch(sock.fileno(), self._on_readable)

    def held(self) -> HeldClient:
        """Return what an upgrade passes on."""
        return HeldClient(self.socket.fileno(), self.waiting, self._received, self._unsent)

    def resume(self, held: HeldClient, generation: int) -> None:
        """Go on where the former program was."""
        self._received, self._unsent = held.received, held.unsent
        if held.waiting is not None:
            self.wait(resumed(held.waiting, generation))
        elif held.unsent:
            self._on_writable()

    def wait(self, waiting: Waiting) -> None:
        """Wait for this, as long as the client does. It may have closed its half of the connection, and still wait."""
        self.waiting = waiting
        self.deadline = None
        self._poller.watch(self.socket.fileno(), self.close, ENDED)

    def answer(self, answer: Answer) -> None:
        """Send the answer, and close when it is sent; only who asked to stop stays until the master has ended."""
        self._ends_with_master = self.waiting is not None and isinstance(self.waiting.request, Stop)
        self.waiting = None
        self.deadline = monotonic() + PATIENCE
        self._unsent = encode(answer)
        self._on_writable()

    def close(self) -> None:
        """Let the client go, whatever it waits for."""
        self._closed(self)
        self._poller.forget(self.socket.fileno())
        self.socket.close()

    def _on_readable(self) -> None:
        try:
            data = self.socket.recv(LONGEST_REQUEST)
        except OSError:
            data = b""
        self._received += data
        line, newline, _ = self._received.partition(b"\n")
        if newline:
            self._ask(line)
        elif not data or len(self._received) >= LONGEST_REQUEST:
            self.close()

    def _ask(self, line: bytes) -> None:
        try:
            request = decode_request(line)
        except ValueError as error:
            self.answer(Answer(f"not a request: {error}", os.EX_USAGE))
        else:
            self._begin(self, request)

    def _on_writable(self) -> None:
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # it has gone
        if self._unsent:
            self._poller.watch(self.socket.fileno(), self._on_writable, WRITABLE)
        elif not self._ends_with_master:
            self.close()


def with_farewell(answer: Answer, request: Request, farewell: str) -> Answer:
    """Return the answer, to who has stopped the service with the farewell."""
    is_told = farewell and isinstance(request, Stop)
    return replace(answer, message=f"{answer.message}; {farewell}") if is_told else answer


def peer(sock: socket.socket) -> tuple[int, int]:
    """Return the pid and the user id of whom the socket leads to."""
    pid, uid, _gid = PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    return pid, uid


def refuse(sock: socket.socket, answer: Answer) -> None:
    """Say why at once, and close."""
    sock.settimeout(0)
    with suppress(OSError):
        sock.send(encode(answer))
    sock.close()
