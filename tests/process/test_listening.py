"""Where it listens, and how the connections are shared out."""

import socket
import stat
from pathlib import Path
from signal import SIGHUP, SIGKILL

import pytest

from tests.process import proc
from tests.process.commands import CONTROL, command
from tests.process.starting import Start
from tests.process.waiting import until

HELLO_UNIX = ("unix:hello.sock",)
APP = """
def answer(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_each_way_of_accepting_serves_all_connections(start: Start, accept: str) -> None:
    hello = start(f'workers = 3\naccept = "{accept}"')
    clients = [hello.connect() for _ in range(300)]
    assert all(client.ask().status == 200 for client in clients)


def test_with_a_socket_for_each_worker_the_kernel_spreads_the_connections(start: Start) -> None:
    hello = start('workers = 2\naccept = "reuseport"')
    clients = [hello.connect() for _ in range(200)]
    assert all(client.ask().status == 200 for client in clients)
    assert all(hello.descriptor_count(pid) > before + 20 for pid, before in hello.descriptors.items())


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_it_listens_on_ipv6(start: Start, accept: str) -> None:
    hello = start(f'workers = 2\naccept = "{accept}"\naccess_log = "-"', bind=["[::1]:0"])
    assert hello.addresses[0].startswith("[::1]:")
    assert all(hello.connect().ask().status == 200 for _ in range(20))
    hello.wait_for_log("\n::1 - - [")


def test_it_listens_on_several_addresses_at_once(start: Start) -> None:
    hello = start("workers = 2", bind=["127.0.0.1:0", "127.0.0.2:0", "unix:one.sock", "unix:two.sock"])
    assert len(hello.addresses) == 4
    for address in hello.addresses * 3:
        assert hello.connect(address).ask().body == b"Hello, world!"


def test_one_worker_serves_all_sockets_of_many_that_have_left(start: Start) -> None:
    bind = [f"127.0.0.{each}:0" for each in range(1, 71)]
    hello = start("workers = 5", *CONTROL, bind=bind)
    assert command(hello, "workers", "1") == (0, "1 worker ready\n")
    hello.wait_for_workers(1)
    for address in hello.addresses * 3:
        client = hello.connect(address)
        assert client.ask().status == 200
        client.close()


def test_a_worker_of_a_mold_is_given_all_sockets_of_many_that_have_left(start_app: Start) -> None:
    start_app.files["shop.py"] = APP
    app = 'app = "shop:answer"\npreload = "mold"'
    bind = [f"127.0.0.{each}:0" for each in range(1, 71)]
    hello = start_app(f"workers = 5\n{app}", bind=bind)
    hello.reload(f"workers = 1\n{app}", bind)
    for address in hello.addresses[: len(bind)] * 3:
        client = hello.connect(address)
        assert client.ask().status == 200
        client.close()


def test_a_unix_socket_has_its_mode_and_is_gone_at_the_end(start: Start) -> None:
    hello = start('workers = 2\nunix_mode = "0604"', bind=HELLO_UNIX)
    path = hello.folder / "hello.sock"
    assert mode(path) == 0o604
    assert all(hello.connect().ask().status == 200 for _ in range(10))
    hello.leave()
    assert hello.stop() == 0
    assert [each.name for each in hello.folder.iterdir() if each.is_socket()] == []


def test_a_unix_socket_left_behind_by_a_crash_is_replaced(start: Start) -> None:
    crashed = start("workers = 1", bind=HELLO_UNIX)
    crashed.signal(SIGKILL)
    crashed.wait_for_exit()
    crashed.wait_until_gone()
    path = crashed.folder / "hello.sock"
    assert path.is_socket()
    hello = start("workers = 1", bind=[f"unix:{path}"])
    assert hello.connect(f"unix:{path}").ask().status == 200


def test_a_unix_socket_that_is_alive_is_not_taken_away(start: Start) -> None:
    first = start("workers = 1", bind=HELLO_UNIX)
    path = first.folder / "hello.sock"
    status, error = start.refused("workers = 1", bind=[f"unix:{path}"])
    assert (status, "address in use" in error) == (69, True)
    assert first.connect().ask().status == 200


def test_a_unix_socket_that_somebody_else_has_put_in_its_place_stays(start: Start) -> None:
    first = start("workers = 1", bind=HELLO_UNIX)
    path = first.folder / "hello.sock"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        assert first.stop() == 0
        assert path.is_socket()


def test_a_reload_keeps_a_unix_socket_and_its_queue(start: Start) -> None:
    hello = start("workers = 1", bind=HELLO_UNIX)
    before = (hello.folder / "hello.sock").stat().st_ino
    hello.reload("workers = 2", bind=HELLO_UNIX)
    assert (hello.folder / "hello.sock").stat().st_ino == before
    assert hello.connect().ask().status == 200


def test_a_unix_socket_whose_file_was_removed_is_there_again_after_a_reload(start: Start) -> None:
    hello = start("workers = 2", bind=HELLO_UNIX)
    idle = hello.connect()
    assert idle.ask().status == 200
    (hello.folder / "hello.sock").unlink()
    hello.reload("workers = 2", bind=HELLO_UNIX)
    assert hello.connect().ask().status == 200
    assert idle.ask().status == 200


def test_a_unix_socket_whose_file_was_removed_is_there_again_though_the_workers_of_a_reload_fail(
    start_app: Start,
) -> None:
    application = 'def answer(_environ, start):\n    start("200 OK", [])\n    return [b"ok"]\n'
    start_app.files = {"shop.py": application}
    hello = start_app('app = "shop:answer"\nworkers = 2', bind=HELLO_UNIX)
    masters = len(proc.descriptors(hello.master_pid))
    (hello.folder / "hello.sock").unlink()
    (hello.folder / "shop.py").write_text("1 / 0\n")
    hello.signal(SIGHUP)
    hello.wait_for_log("reload failed generation=2 kept=1")
    assert [hello.connect().ask().body for _ in range(5)] == [b"ok"] * 5
    until(lambda: len(proc.descriptors(hello.master_pid)) == masters, "the master's descriptors")
    (hello.folder / "shop.py").write_text(application)
    hello.signal(SIGHUP)
    hello.wait_for_log(" reloaded ")
    assert hello.connect().ask().body == b"ok"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
