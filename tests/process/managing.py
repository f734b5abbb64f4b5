"""Plays systemd's part in sd_notify(3): the socket at which it is told."""

import socket
import threading
from collections.abc import Callable, Sequence


class NotifySocket:
    """Receives what a service says as soon as it does, as the kernel's queue takes few datagrams.

    A thread passes each datagram on, with the descriptors that came along. `name` is a path, or an abstract name that
    begins with a NUL (unix(7)).
    """

    def __init__(self, name: str, heard: Callable[[str, Sequence[int]], None]) -> None:
        self.environ = {"NOTIFY_SOCKET": name.replace("\0", "@")}
        self._heard = heard
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name)
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._listening.join()
        self._socket.close()

    def _listen(self) -> None:
        while True:
            said, fds, _, _ = socket.recv_fds(self._socket, 4096, 1)
            if not said:
                return
            self._heard(said.decode(), fds)
