"""What a forked worker is given by its master."""

import socket

from msgspec import Struct

from prefork.ipc.channel import Channel
from prefork.ipc.scoreboard import Row, Scoreboard


class Seat(Struct, frozen=True):
    """The place that a worker takes, and the descriptors that it owns from now on; it writes stacks to `stacks`."""

    slot: int
    generation: int
    listeners: tuple[socket.socket, ...]
    channel: Channel
    row: Row
    scoreboard: Scoreboard
    stacks: int
