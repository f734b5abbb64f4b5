"""Accepts connections from one listening socket, for as long as there are descriptors.

Without descriptors (EMFILE, ENFILE) a connection can be neither accepted nor refused, and a level-triggered loop would
spin on it. So one descriptor is kept in reserve: it is given up to accept and close, and the listener is left alone for
a moment. So it is whatever else keeps it from being accepted, be it memory or a security module's rules.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from errno import EMFILE, ENFILE
from select import EPOLLEXCLUSIVE
from typing import Final, Protocol

from prefork.ipc.streams import STDERR, beyond_streams
from prefork.logs.log import Log
from prefork.wording import MORE_DESCRIPTORS
from prefork.worker.loop import READABLE, Loop

FULL_PAUSE: Final = 0.05  # seconds until it is asked again whether there is room
MOST_AT_END: Final = 64 * 1024  # connections: as many as wait in the queue of the largest backlog, two seconds' work
HINTS: Final = {EMFILE: MORE_DESCRIPTORS, ENFILE: "raise fs.file-max"}


class Accepted(Protocol):
    """What is done with a new connection from this address, of which the first bytes may be there to be read."""

    def __call__(self, sock: socket.SocketType, address: object, *, to_read: bool) -> None: ...


class Acceptor:
    """A listening socket in the loop of a worker; `accepted` is called with each new connection and its peer.

    After each, `step_aside` tells for how many seconds the next ones are left to others. While it `is_full`, they wait.
    """

    def __init__(
        self,
        listener: socket.socket,
        loop: Loop,
        accepted: Accepted,
        log: Log,
        *,
        step_aside: Callable[[], float],
        is_full: Callable[[], bool],
    ) -> None:
        self._listener = listener
        self._kind = (int(listener.family), int(listener.type), listener.proto)
        self._loop = loop
        self._accepted = accepted
        self._defers = defers(listener)
        self._step_aside = step_aside
        self._is_full = is_full
        self._log = log
        self._reserve = -1
        self._turned_away = 0
        self._why = 0
        self._watched = False
        self.resume()

    def fileno(self) -> int:
        return self._listener.fileno()

    def resume(self) -> None:
        """Listen, again after a pause and unless it has left, and say how many were turned away meanwhile."""
        if self._listener.fileno() < 0:
            return
        if self._reserve < 0:
            self._take_reserve()
        if self._turned_away:
            self._tell_turned_away(self._turned_away)
            self._turned_away = 0
        if not self._watched:
            self._watched = True
            self._loop.watch(self._listener.fileno(), READABLE | EPOLLEXCLUSIVE, self.on_readable)

    def look(self) -> None:
        """Listen again, and accept one that no wake told of.

        With EPOLLEXCLUSIVE the kernel wakes one worker for a connection. Should that one be stopped, hang or die before
        it accepts, no other is woken, and the connection would wait until the next one comes.
        """
        if not self._is_full():
            self.resume()
            self.on_readable(READABLE)

    def on_readable(self, _events: int) -> None:
        """Accept one connection, unless it is full, and then maybe pause.

        Going on until none waits would cost a failing accept(2) for two of three connections (2 of 30 µs each), and
        with EPOLLEXCLUSIVE take from the other workers what they were woken for.
        """
        if self._is_full():  # by who came to another listener
            self._pause_for(FULL_PAUSE)
        elif self._accept(to_read=self._defers) and (seconds := FULL_PAUSE if self._is_full() else self._step_aside()):
            self._pause_for(seconds)

    def accept_all(self) -> None:
        """Accept all that waits, before leaving: what isn't taken out of the queue of a closed socket is reset.

        Whoever comes faster than is accepted doesn't keep it, and those whom it serves, from that.
        """
        self._pause()  # now, so that nothing but the end of the queue comes before the close
        for _ in range(MOST_AT_END):
            if not self._accept(to_read=False):  # what is asked by them is for the heirs
                break

    def leave(self) -> None:
        """Stop listening, for good."""
        self._pause()
        self._listener.close()
        self.give_up_reserve()

    def give_up_reserve(self) -> None:
        """Have a descriptor left for what is more important, until it resumes, or is looked after."""
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1

    def _take_reserve(self) -> None:
        with suppress(OSError):
            self._reserve = os.open(os.devnull, os.O_RDONLY)

    def _come_back(self) -> None:
        if self._is_full():
            self._loop.call_at(self._loop.now + FULL_PAUSE, self._come_back)
        else:
            self.resume()

    def _accept(self, *, to_read: bool) -> bool:
        """Accept one connection; return False when there is nothing more to accept now."""
        try:
            # Written out: `socket.accept` asks for the members of two enums each time, 1.8 µs of some 25 a connection,
            # and to be made and closed a `socket.socket` takes 0.5 µs more than what it is derived from.
            fd, address = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            if fd <= STDERR:
                fd = beyond_streams(fd)
        except BlockingIOError:  # none waits
            return False
        except ConnectionAbortedError:  # it has gone again, others may wait (accept(2))
            return True
        except OSError as error:
            self._turn_away(error)
            return False
        sock = socket.SocketType(*self._kind, fd)
        sock.settimeout(0)
        self._accepted(sock, address, to_read=to_read)
        return True

    def _turn_away(self, error: OSError) -> None:
        self._turned_away += 1
        self._why = error.errno or 0
        self.give_up_reserve()
        with suppress(OSError):
            self._listener.accept()[0].close()
        self._take_reserve()
        self._pause()

    def _tell_turned_away(self, count: int) -> None:
        if hint := HINTS.get(self._why):
            self._log.error("out of descriptors: connections turned away", count=count, hint=hint)
        else:
            self._log.error("can't accept connections", reason=os.strerror(self._why))

    def _pause_for(self, seconds: float) -> None:
        self._pause()
        self._loop.call_at(self._loop.now + seconds, self._come_back)

    def _pause(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.forget(self._listener.fileno())


def defers(listener: socket.socket) -> bool:
    """Tell whether its connections come with their first bytes, as a rule (TCP_DEFER_ACCEPT, tcp(7))."""
    with suppress(OSError):  # no TCP
        return listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) > 0
    return False
