"""What systemd is told, received at a real socket."""

import socket
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from prefork.systemd import Notifier, drop_variables, farewell, passed_descriptors, store_capacity, unit_name


def test_each_state_is_one_datagram(service_manager: socket.socket, notifier: Notifier) -> None:
    notifier.ready()
    notifier.status("4 workers ready")
    notifier.stopping()
    assert [service_manager.recv(4096) for _ in range(3)] == [b"READY=1", b"STATUS=4 workers ready", b"STOPPING=1"]


def test_reloading_carries_its_moment_in_the_same_datagram(service_manager: socket.socket, notifier: Notifier) -> None:
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    state, moment = service_manager.recv(4096).decode().splitlines()
    assert state == "RELOADING=1"
    assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_can_not_smuggle_in_another_assignment(service_manager: socket.socket, notifier: Notifier) -> None:
    notifier.status("reload failed:\nMAINPID=1\udcff")
    assert service_manager.recv(4096) == b"STATUS=reload failed: MAINPID=1?"


def test_what_nobody_takes_is_given_up_without_spinning(service_manager: socket.socket, notifier: Notifier) -> None:
    with suppress(BlockingIOError):
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:  # each has a limit of its own, too
                other.settimeout(0)
                other.sendto(b"X", service_manager.getsockname())
    before = time.thread_time()
    notifier.alive()
    assert time.thread_time() - before < 0.2  # of a second
    assert service_manager.recv(4096) == b"X"
    notifier.ready()  # for which there is room again
    while (said := service_manager.recv(4096)) == b"X":
        pass
    assert said == b"READY=1"


def test_an_abstract_socket_is_named_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("")  # the kernel chooses an abstract name (unix(7))
        receiver.settimeout(5)
        with closing(Notifier({"NOTIFY_SOCKET": "@" + receiver.getsockname()[1:].decode()})) as notifier:
            notifier.ready()
        assert receiver.recv(4096) == b"READY=1"


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere"}, {"NOTIFY_SOCKET": "/" * 200}]
)
def test_without_a_socket_nothing_happens(environ: dict[str, str]) -> None:
    with closing(Notifier(environ)) as notifier:
        notifier.ready()
        notifier.reloading()
        notifier.stopping()
        notifier.status("alone")


def test_the_variables_of_the_master_are_dropped_and_no_others() -> None:
    of_systemd = dict.fromkeys(
        (
            "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "FDSTORE",
        ),
        "1",
    )  # fmt: skip
    environ = {**of_systemd, "PATH": "/bin"}
    assert drop_variables(environ) == of_systemd
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("environ", "passed"),
    [
        ({"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web:admin"}, [("web", 3), ("admin", 4)]),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web"}, [("web", 3), ("unknown", 4)]),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "7"}, [("unknown", 3), ("unknown", 4)]),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "8"}, []),
        ({"LISTEN_FDS": "2"}, []),
        ({"LISTEN_FDS": "-1", "LISTEN_PID": "7"}, []),
        ({"LISTEN_PID": "7"}, []),
        ({}, []),
    ],
)
def test_descriptors_are_passed_to_one_process_by_names(environ: dict[str, str], passed: list[tuple[str, int]]) -> None:
    assert passed_descriptors(environ, 7) == passed


@pytest.mark.parametrize(
    ("cgroups", "name"),
    [
        ("0::/system.slice/hello.service\n", "hello.service"),
        ("0::/system.slice/system-prefork.slice/prefork@shop.service\n", "prefork@shop.service"),
        ("2:cpu:/\n1:name=systemd:/system.slice/hello.service\n0::/\n", "hello.service"),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/hello.service\n", "hello.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        ("", ""),
    ],
)
def test_the_unit_is_named_by_its_control_group(tmp_path: Path, cgroups: str, name: str) -> None:
    (tmp_path / "cgroup").write_text(cgroups)
    assert unit_name(str(tmp_path / "cgroup")) == name
    assert unit_name(str(tmp_path / "nowhere")) == ""


def test_who_stops_a_service_of_systemd_is_told_that_it_may_come_back() -> None:
    environ = {"NOTIFY_SOCKET": "/run/systemd/notify"}
    assert farewell(environ, "hello.service") == (
        "its service manager may start it again, but for `systemctl stop hello.service`"
    )
    assert farewell(environ, "") == "its service manager may start it again"
    assert farewell({}, "session.service") == ""


@pytest.mark.parametrize(("environ", "capacity"), [({"FDSTORE": "7"}, 7), ({"FDSTORE": "x"}, 0), ({}, 0)])
def test_the_fd_store_is_as_large_as_the_unit_says(environ: dict[str, str], capacity: int) -> None:
    assert store_capacity(environ) == capacity
