"""The client of the control socket, against a master that is only bytes."""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from prefork.ipc import control_path
from prefork.ipc.client import CommandError, ask, exchange, the_only_path
from prefork.ipc.control import Answer, Reload, Stop, encode


@contextmanager
def answering(path: Path, *pieces: bytes, reads: int = 4096) -> Iterator[list[bytes]]:
    """Take one request at the path, or the first bytes of it, and answer it by these pieces."""
    received: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            received.append(sock.recv(reads))
            for piece in pieces:
                sock.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    yield received
    thread.join()
    listener.close()


@pytest.mark.parametrize("request_", [Reload(), Stop(fast=True)])
def test_a_request_gets_its_answer(tmp_path: Path, request_: Reload | Stop) -> None:
    line = encode(Answer("done", 3))
    with answering(tmp_path / "x", line[:4], line[4:]) as received:
        assert ask(request_, [str(tmp_path / "x")]) == Answer("done", 3)
    assert received == [encode(request_)]


def test_who_is_answered_before_asking_reads_that_answer() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(encode(Answer("64 commands wait already", os.EX_TEMPFAIL)))
    theirs.close()
    with ours:
        assert exchange(ours, Reload()).exit_status == os.EX_TEMPFAIL


def test_the_first_path_with_a_service_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    dead, none, below, live = (str(tmp_path / name) for name in ("dead", "none", "file/x", "live"))
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(dead)
    with answering(Path(live), encode(Answer("done"))):
        assert ask(Reload(), [dead, none, below, live]) == Answer("done")


def test_without_a_service_all_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no service listens at /none or .*/x; see") as failure:
        ask(Reload(), ["/none", str(tmp_path / "x")])
    assert failure.value.status == os.EX_UNAVAILABLE


@pytest.mark.parametrize("piece", [b"", b'{"mess', b"no JSON\n"])
def test_a_service_that_ends_before_it_has_answered_is_a_failure(tmp_path: Path, piece: bytes) -> None:
    with (
        answering(tmp_path / "x", piece),
        pytest.raises(CommandError, match="the service ended before it had an answer") as failure,
    ):
        ask(Reload(), [str(tmp_path / "x")])
    assert failure.value.status == 1


def test_a_service_that_ends_with_the_request_unread_is_a_failure_too(tmp_path: Path) -> None:
    with (
        answering(tmp_path / "x", reads=1),
        pytest.raises(CommandError, match="the service ended before it had an answer") as failure,
    ):
        ask(Reload(), [str(tmp_path / "x")])
    assert failure.value.status == 1


def test_who_asks_to_stop_waits_with_the_answer_for_the_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        theirs.sendall(encode(Answer("reloaded")))
        assert exchange(ours, Reload()) == Answer("reloaded")
        theirs.sendall(encode(Answer("stopped")))
        with pytest.raises(BlockingIOError):
            exchange(ours, Stop())
        theirs.sendall(encode(Answer("stopped")))
        theirs.shutdown(socket.SHUT_WR)
        assert exchange(ours, Stop()) == Answer("stopped")


def test_a_service_that_does_not_answer_in_time_is_a_failure(tmp_path: Path) -> None:
    with (
        listening(tmp_path / "x"),
        pytest.raises(CommandError, match=r"^the service had no answer within 0\.05 s$") as failure,
    ):
        ask(Reload(), [str(tmp_path / "x")], timeout=0.05)
    assert failure.value.status == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else")
def test_the_only_service_is_not_to_be_had_by_somebody_else() -> None:
    with tempfile.TemporaryDirectory() as folder, listening(Path(folder, "prefork-shop.sock")):
        os.chmod(folder, 0o755)
        os.chmod(f"{folder}/prefork-shop.sock", 0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(CommandError, match=r"shop\.sock: Permission denied") as failure:
                the_only_path({"XDG_RUNTIME_DIR": folder}, 7)
        finally:
            os.seteuid(0)
    assert failure.value.status == os.EX_NOPERM


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else")
def test_somebody_elses_service_is_not_permitted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        tmp_path.chmod(0o700)
        os.seteuid(65534)
        try:
            with pytest.raises(CommandError, match=r"Permission denied") as failure:
                ask(Reload(), [str(path)])
        finally:
            os.seteuid(0)
    assert failure.value.status == os.EX_NOPERM


def test_a_path_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="too long"):
        ask(Reload(), [str(tmp_path / ("x" * 200))])


def test_an_interrupted_wait_says_that_the_service_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("prefork.ipc.client.connect", interrupted)
    with pytest.raises(CommandError, match="interrupted") as failure:
        ask(Reload(), [str(tmp_path)])
    assert failure.value.status == 130


@contextmanager
def listening(*paths: Path) -> Iterator[None]:
    """Have services listen at these paths."""
    with ExitStack() as at_end:
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            listener = at_end.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen()
        yield


@pytest.mark.parametrize("name", ["prefork-shop.sock", "prefork-shop/prefork.sock"])
def test_the_only_service_needs_no_name(tmp_path: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "prefork-dead.sock"))
    (tmp_path / "prefork-shop.pid").touch()
    with listening(tmp_path / name, tmp_path / "other.sock"):
        assert the_only_path({"XDG_RUNTIME_DIR": str(tmp_path)}, 7) == str(tmp_path / name)


def test_of_several_services_one_has_to_be_named(tmp_path: Path) -> None:
    with (
        listening(tmp_path / "prefork-shop.sock", tmp_path / "prefork-blog.sock"),
        pytest.raises(CommandError, match="several services run, choose one by --name: blog, shop") as failure,
    ):
        the_only_path({"XDG_RUNTIME_DIR": str(tmp_path)}, 7)
    assert failure.value.status == os.EX_USAGE


def test_in_a_unit_it_is_the_units_own() -> None:
    assert the_only_path({"RUNTIME_DIRECTORY": "/run/shop"}, 0) == "/run/shop/prefork.sock"


def test_where_no_service_runs_the_folders_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_path, "FOLDER_OF_ALL", "/none")
    with pytest.raises(CommandError, match=f"^no service listens in {tmp_path} or /none; see --name") as failure:
        the_only_path({"XDG_RUNTIME_DIR": str(tmp_path)}, 7)
    assert failure.value.status == os.EX_UNAVAILABLE
