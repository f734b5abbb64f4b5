"""The floor of the figures: a loop of Python that reads, and answers whatever it read; a server can't do less.

It looks at nothing but for a last request, knows no limit and no time, and loses whoever pipelines. What it takes is
the kernel's and the interpreter's; what a server of Python takes more is its own.
"""

import select
import socket
import sys
from typing import Final

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 17:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n"
)
BODY: Final = b"\r\nHello, world!"
ANSWER: Final = HEAD + BODY
LAST_ANSWER: Final = HEAD + b"Connection: close\r\n" + BODY
READ_SIZE: Final = 16 * 1024
MOST_EVENTS: Final = 1024


def serve(port: int, backlog: int) -> None:
    """Answer on 127.0.0.1:`port` until a signal ends the process."""
    socket.setdefaulttimeout(0)
    listener = socket.create_server(("127.0.0.1", port), backlog=backlog)
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        for fd, _ in epoll.poll(None, MOST_EVENTS):
            client = clients.get(fd)
            if client is None:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                epoll.register(client, select.EPOLLIN)
                continue
            if not answer(client):
                del clients[fd]
                client.close()


def answer(client: socket.socket) -> bool:
    """Read and answer, and tell whether there may be more."""
    try:
        request = client.recv(READ_SIZE)
        goes_on = b"close" not in request
        if request:
            client.send(ANSWER if goes_on else LAST_ANSWER)
    except OSError:
        return False
    return bool(request) and goes_on


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
