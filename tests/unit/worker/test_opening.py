"""Steps before HTTP, over real sockets: they are tried as the socket gets ready, in their order, and may give up."""

import os
import socket
from collections.abc import Iterator

import pytest

from prefork.http.messages import Peer, Rejection
from prefork.worker.loop import READABLE, WRITABLE, Loop
from prefork.worker.opening import Opening, Step

CLIENT = Peer(b"192.0.2.1")


class Server:
    """A loop with one connection that is being opened, and the client at its other end."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.socket, self.client = socket.socketpair()
        self.socket.settimeout(0)
        self.openings: set[Opening] = set()
        self.opened: list[socket.SocketType] = []
        self.refused: list[Rejection] = []
        self.errors: list[OSError] = []

    def open(self, *steps: Step, peer: Peer = CLIENT) -> Opening:
        return Opening(
            self.socket,
            list(steps),
            self.loop,
            self.openings,
            opened=self.opened.append,
            refused=lambda _socket, rejection: self.refused.append(rejection),
            gave_up=self.errors.append,
            peer=peer,
            since=self.loop.now,
        )

    def turn(self) -> None:
        self.loop.running = True
        self.loop.after_turn[:] = [lambda: setattr(self.loop, "running", False)]
        for moment in (self.loop.now, self.loop.now + 3600):
            self.loop.call_at(moment, lambda: None)
        self.loop.run()


def expect(byte: bytes) -> Step:
    """Return a step that is done when it has read this byte; it gives up at another, and at the end."""

    def step(sock: socket.SocketType) -> socket.SocketType | int:
        try:
            found = sock.recv(1)
        except BlockingIOError:
            return READABLE
        if found != byte:
            raise ConnectionAbortedError
        return sock

    return step


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.loop.close()
    server.socket.close()
    server.client.close()


def test_steps_are_done_in_their_order_whenever_the_socket_is_ready(server: Server) -> None:
    server.open(expect(b"1"), expect(b"2"))
    server.turn()
    assert server.openings
    server.client.send(b"1")
    server.turn()
    assert not server.opened
    server.client.send(b"2GET")
    server.turn()
    assert server.opened == [server.socket]
    assert server.socket.recv(3) == b"GET"
    assert not server.openings
    assert not any(server.loop._handlers)


def test_several_steps_are_done_at_once_where_the_bytes_are_there(server: Server) -> None:
    server.open(expect(b"1"), expect(b"2"))
    server.client.send(b"12")
    server.turn()
    assert server.opened == [server.socket]


def test_a_step_is_tried_again_when_the_socket_is_ready_for_what_it_waits_for(server: Server) -> None:
    taken: list[bytes] = []

    def take_then_wait_to_write(sock: socket.SocketType) -> socket.SocketType | int:
        if taken:
            return sock
        taken.append(sock.recv(1))
        return WRITABLE

    server.open(take_then_wait_to_write)
    server.client.send(b"1")
    server.turn()
    assert server.openings
    server.turn()
    assert server.opened == [server.socket]


def test_a_step_may_make_another_socket_of_it_for_those_that_follow(server: Server) -> None:
    def wrap(sock: socket.SocketType) -> socket.SocketType:
        return socket.socket(fileno=sock.detach())

    seen: list[socket.SocketType] = []

    def look(sock: socket.SocketType) -> socket.SocketType:
        seen.append(sock)
        return sock

    server.open(wrap, look)
    server.client.send(b"1")
    server.turn()
    (opened,) = server.opened
    assert opened is seen[0]
    assert opened.recv(1) == b"1"
    opened.close()
    assert not any(server.loop._handlers)


def test_it_counts_for_whom_it_has_begun_with_whoever_a_step_learns_of(server: Server) -> None:
    peer = Peer(b"192.0.2.1")

    def learn(_socket: socket.SocketType) -> int:
        peer.address = b"198.51.100.1"
        return READABLE

    opening = server.open(learn, peer=peer)
    server.client.send(b"1")
    server.turn()
    assert (peer.address, opening.peer.address) == (b"198.51.100.1", b"192.0.2.1")


@pytest.mark.parametrize("sent", [b"2", b"13"])
def test_a_step_that_gives_up_closes_the_connection_and_tells_why(server: Server, sent: bytes) -> None:
    server.open(expect(b"1"), expect(b"2"))
    server.client.send(sent)
    server.turn()
    assert is_gone(server)
    assert [type(each) for each in server.errors] == [ConnectionAbortedError]


def test_a_step_can_have_the_client_told_why_it_is_refused(server: Server) -> None:
    def refuse(_socket: socket.SocketType) -> int:
        raise Rejection(400, "no")

    server.open(refuse)
    server.client.send(b"1")
    server.turn()
    assert [each.reason for each in server.refused] == ["no"]
    assert server.socket.fileno() >= 0
    assert [server.openings, server.opened, server.errors, any(server.loop._handlers)] == [set(), [], [], False]


def test_a_step_may_fail_after_it_has_taken_the_socket_apart(server: Server) -> None:
    def fail(sock: socket.SocketType) -> int:
        os.close(sock.detach())
        raise ConnectionResetError

    server.open(fail)
    server.client.send(b"1")
    server.turn()
    assert is_gone(server)


def test_a_client_that_leaves_while_it_is_being_opened_is_noticed(server: Server) -> None:
    server.open(expect(b"1"))
    server.client.close()
    server.turn()
    assert is_gone(server)


def test_it_can_be_closed_while_it_waits(server: Server) -> None:
    opening = server.open(expect(b"1"))
    server.turn()
    opening.give_up(TimeoutError("too late"))
    assert is_gone(server)


def is_gone(server: Server) -> bool:
    return server.socket.fileno() == -1 and not (server.openings or server.opened or any(server.loop._handlers))
