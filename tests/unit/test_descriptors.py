"""What descriptors of a forked process become that are not its own, with some of this one."""

import os
import socket

import pytest

from prefork.descriptors import leave


def test_a_descriptor_that_is_left_leads_nowhere_and_its_object_can_still_be_closed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        leave([ours.fileno(), -1])
        assert theirs.recv(1) == b""
        assert os.readlink(f"/proc/self/fd/{ours.fileno()}") == os.devnull
        assert not os.get_inheritable(ours.fileno())
        with pytest.raises(OSError, match="non-socket"):
            ours.send(b"x")
