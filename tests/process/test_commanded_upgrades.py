"""`prefork upgrade`: who waits for something when one program becomes another gets the answer of the other."""

import json
import re
import socket
from signal import SIGTERM
from typing import Any

from prefork.version import VERSION
from tests.process import proc
from tests.process.clients import Load
from tests.process.commands import CONTROL, begin, command, end, status
from tests.process.hello import Hello, connected
from tests.process.installing import HELD, NEXT, Installation
from tests.process.starting import Start
from tests.process.waiting import LIMIT, until

UPGRADED = f"upgraded to {NEXT}: generation 2, 2 workers ready\n"
STOPPING = (1, "prefork: error: the service is stopping\n")
SLOW_WORKER = "import time\nrun = Worker.run\nWorker.run = lambda self: time.sleep(0.7) or run(self)\n"


def caller(hello: Hello, sent: bytes) -> socket.socket:
    """Return a connection to the control socket on which this was sent."""
    sock = connected("unix:control.sock", hello.folder)
    sock.settimeout(LIMIT)
    sock.sendall(sent)
    return sock


def answer(sock: socket.socket) -> Any:  # Any: a test reads JSON
    with sock, sock.makefile("rb") as lines:
        return json.loads(lines.readline())


def test_an_upgrade_returns_when_the_workers_of_the_other_version_serve(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    before = status(hello)
    installed.replace()
    with Load(hello.connect) as load:
        load.wait_for_more()
        assert command(hello, "upgrade") == (0, UPGRADED)
        load.wait_for_more()
    assert load.lost == []
    after = status(hello)
    assert (after["pid"], after["version"], after["generation"]) == (before["pid"], NEXT, 2)
    assert after["uptime"] > before["uptime"]
    assert after["last_reload"]["result"] == "succeeded"


def test_an_upgrade_whose_trial_fails_says_why(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    installed.replace(NEXT, worker_worker="def broken(:\n")
    code, printed = command(hello, "upgrade")
    assert code == 1
    assert printed.startswith("prefork: error: upgrade failed, generation 1 goes on: SyntaxError: ")
    assert printed.count("\n") == 1
    assert status(hello)["version"] == VERSION


def test_an_upgrade_whose_workers_fail_says_why(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    installed.replace(NEXT, worker_worker="import os\nWorker.run = lambda self: os._exit(3)\n")
    failure = "prefork: error: upgrade failed, generation 1 goes on: exit status 3\n"
    assert command(hello, "upgrade") == (1, failure)
    assert hello.worker_pids() == set(hello.descriptors)
    installed.replace("100.0")
    assert command(hello, "upgrade") == (0, "upgraded to 100.0: generation 3, 2 workers ready\n")


def test_an_upgrade_to_a_broken_configuration_says_why(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    hello.rewrite('workers = "many"')
    code, printed = command(hello, "upgrade")
    assert code == 1
    assert "upgrade failed, generation 1 goes on: hello.toml:2: workers: expected" in printed


def test_a_program_that_breaks_after_its_trial_ends_all_waiting(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    hello.expected_to_run = False
    installed.replace(NEXT, run_program="def resume(*_):\n    raise SystemExit(3)\n")
    assert command(hello, "upgrade") == (1, "prefork: error: the service ended before it had an answer\n")
    assert command(hello, "status")[0] == 69


def test_one_upgrade_at_a_time(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    installed.replace(NEXT, cli=HELD)
    first = begin(hello, "upgrade")
    hello.wait_for_log("command name=upgrade")
    another = "prefork: error: upgrade failed, generation 1 goes on: another is under way\n"
    assert command(hello, "upgrade") == (1, another)
    hello.let_go()
    assert end(first) == (0, UPGRADED)


def test_a_stop_during_the_trial_is_told_to_who_waits_for_the_upgrade(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    installed.replace(NEXT, cli=HELD)
    upgrade = begin(hello, "upgrade")
    hello.wait_for_log("command name=upgrade")
    assert hello.stop(SIGTERM) == 0
    code, printed = end(upgrade)
    assert (code, printed) == (
        1,
        "prefork: error: upgrade failed, generation 1 goes on: the service is stopping\n",
    )


def test_a_stop_while_the_workers_are_replaced_is_told_to_who_waits_for_the_upgrade(
    start: Start, installed: Installation
) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    installed.replace(NEXT, worker_worker=SLOW_WORKER.replace("0.7", "3"))  # a command takes a moment to start
    upgrade = begin(hello, "upgrade")
    hello.wait_for_log(" upgrading ")
    hello.expected_to_run = False
    assert command(hello, "stop") == (0, "stopped\n")
    assert end(upgrade) == STOPPING
    assert not (hello.folder / "control.sock").exists()


def test_a_reload_during_the_trial_and_one_during_the_roll_get_their_own_results(
    start: Start, installed: Installation
) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    installed.replace(NEXT, cli=HELD, worker_worker=SLOW_WORKER)
    upgrade = begin(hello, "upgrade")
    hello.wait_for_log("command name=upgrade")
    assert command(hello, "reload") == (0, "reloaded: generation 2, 2 workers ready\n")
    hello.let_go()
    hello.wait_for_log(" upgrading ")
    hello.wait_for_log("worker exited slot=0")
    reload = begin(hello, "reload")
    assert end(upgrade) == (0, f"upgraded to {NEXT}: generation 3, 2 workers ready\n")
    assert end(reload) == (0, "reloaded: generation 4, 2 workers ready\n")


def test_who_waits_for_workers_during_an_upgrade_is_told_how_many_there_are(
    start: Start, installed: Installation
) -> None:
    hello = start("workers = 1", *CONTROL, environ=installed.environ)
    installed.replace(VERSION, worker_worker=SLOW_WORKER)
    assert command(hello, "upgrade")[0] == 0
    installed.replace()
    more = begin(hello, "workers", "4")
    hello.wait_for_log("resizing workers=4")
    assert command(hello, "upgrade") == (0, f"upgraded to {NEXT}: generation 3, 1 worker ready\n")
    code, printed = end(more)
    assert code in {0, 1}
    assert re.fullmatch(r"(prefork: error: 1 worker ready, not 4: .*|4 workers ready)\n", printed), printed


def test_clients_in_any_state_are_passed_on_and_not_to_the_workers(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    before = set(proc.descriptors(hello.master_pid).values())
    silent = caller(hello, b"")
    half = caller(hello, b'{"command":"sta')
    opened = until(lambda: two(set(proc.descriptors(hello.master_pid).values()) - before), "the callers")
    installed.replace()
    assert command(hello, "upgrade") == (0, UPGRADED)
    for pid in hello.wait_for_workers(2, without=hello.descriptors):
        assert not opened & set(proc.descriptors(pid).values())
    silent.sendall(b'{"command":"status"}\n')
    half.sendall(b'tus"}\n')
    assert {answer(each)["service"]["version"] for each in (silent, half)} == {NEXT}


def two(found: set[str]) -> set[str]:
    return found if len(found) == 2 else set()


def test_upgrades_leave_no_descriptor(start: Start, installed: Installation) -> None:
    hello = start("workers = 2", *CONTROL, environ=installed.environ)
    before = len(proc.descriptors(hello.master_pid))
    for number in range(3):
        installed.replace(f"99.{number}")
        done = f"upgraded to 99.{number}: generation {number + 2}, 2 workers ready\n"
        assert command(hello, "upgrade") == (0, done)
    until(lambda: len(proc.descriptors(hello.master_pid)) == before, "the master's descriptors")
