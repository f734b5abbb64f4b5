"""The commands: a running service is told what to do, and the exit status says whether it did."""

import json
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGWINCH
from typing import Any

import pytest

from tests.process import blocking, proc
from tests.process.clients import GET, HALF_A_HEAD, Load
from tests.process.commands import CONTROL, PREFORK, begin, command, end, status
from tests.process.hello import Hello
from tests.process.starting import AS_NOBODY, READ_ALL, Start, environment
from tests.process.test_wsgi import request, serve
from tests.process.waiting import until

WITH_BLOCKING = (sys.executable, str(Path(blocking.__file__)))
REFUSED = (
    "prefork: error: reload failed, generation {} goes on: "
    'hello.toml:2: workers: expected a whole number from 1 to 1024 or "auto", got "many"\n'
)


def leave_descriptors(pid: int, count: int) -> None:
    """Allow a process so many descriptors more than it has."""
    numbers = set(proc.descriptors(pid))
    limit = next(islice((each for each in range(4096) if each not in numbers), count, None))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def test_a_reload_returns_when_the_new_workers_serve(start: Start) -> None:
    hello = start('workers = 2\n[hello]\nbody = "old"', *CONTROL)
    hello.rewrite('workers = 2\n[hello]\nbody = "new"')
    with Load(hello.connect) as load:
        load.wait_for_more()
        assert command(hello, "reload") == (0, "reloaded: generation 2, 2 workers ready\n")
        assert hello.get().content == b"new"
        load.wait_for_more()
    assert load.lost == []


@pytest.mark.parametrize("toml", ["workers = 2", "workers = 0"], ids=["a reload", "a reload that fails"])
def test_a_control_socket_whose_file_was_removed_is_there_again_after(start: Start, toml: str) -> None:
    hello = start("workers = 1", *CONTROL)
    path = hello.folder / "control.sock"
    path.unlink()
    hello.rewrite(toml)
    hello.signal(SIGHUP)
    until(path.is_socket, "the control socket")
    assert command(hello, "health")[0] == 0
    assert hello.stop() == 0
    assert not path.exists()


def test_a_control_socket_that_can_not_be_there_again_is_told_and_the_service_goes_on(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    path = hello.folder / "control.sock"
    path.unlink()
    path.write_text("of somebody else")
    hello.reload("workers = 2")
    hello.wait_for_log('no commands obeyed reason="unix:control.sock: exists and is not a socket; ')
    hello.reload("workers = 1")
    assert hello.get().content == b"Hello, world!"
    path.unlink()
    hello.reload("workers = 2")
    until(path.is_socket, "the control socket")
    assert command(hello, "health") == (0, "2 of 2 workers ready\n")


@pytest.mark.parametrize("key", ["user", "group"])
def test_a_reload_for_a_user_that_only_a_restart_takes_fails_where_a_restart_would(start: Start, key: str) -> None:
    hello = start("workers = 1", *CONTROL)
    hello.rewrite(f'workers = 1\n{key} = "nobody-of-that-name"')
    answer, said = command(hello, "reload")
    assert (answer, said.startswith("prefork: error: reload failed, generation 1 goes on: ")) == (1, True)
    assert f"{key}: there is no {key} 'nobody-of-that-name'" in said


def test_reloads_say_what_only_a_restart_changes_until_it_is_taken_back(start: Start, tmp_path: Path) -> None:
    hello = start("workers = 1", *CONTROL)
    hello.rewrite(f'workers = 1\npid_file = "{tmp_path}/pid"')
    for generation in (2, 3):
        said = f"reloaded: generation {generation}, 1 worker ready; only a restart changes pid_file\n"
        assert command(hello, "reload") == (0, said)
        assert status(hello)["at_restart"] == ["pid_file"]
    assert hello.log.count("takes effect at the next restart key=pid_file") == 2
    assert not (tmp_path / "pid").exists()
    hello.rewrite("workers = 1")
    assert command(hello, "reload") == (0, "reloaded: generation 4, 1 worker ready\n")
    assert status(hello)["at_restart"] == []


def test_a_reload_that_fails_says_why_and_the_old_workers_go_on(start: Start) -> None:
    hello = start("workers = 2", *CONTROL)
    hello.rewrite('workers = "many"')
    code, printed = command(hello, "reload")
    assert code == 1
    assert printed == REFUSED.format(1)
    assert hello.worker_pids() == set(hello.descriptors)
    assert status(hello)["last_reload"]["result"] == "failed"
    code, printed = command(hello, "reload", "--json")
    assert (code, json.loads(printed)["exit_status"]) == (1, 1)


def test_a_reload_whose_workers_can_not_be_had_fails(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    leave_descriptors(hello.master_pid, 2)  # for the command and for the configuration; a worker takes more
    code, printed = command(hello, "reload")
    assert (code, printed) == (
        1,
        "prefork: error: reload failed, generation 1 goes on: can't fork: Too many open files\n",
    )
    assert hello.worker_pids() == set(hello.descriptors)


def test_without_descriptors_a_command_waits_until_there_are_some(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    leave_descriptors(hello.master_pid, 0)
    waiting = begin(hello, "status", "--json")
    hello.wait_for_log('refused by the system; goes on in a second reason="Too many open files" at=control.py:')
    assert proc.cpu_share([hello.master_pid]) < 0.1
    leave_descriptors(hello.master_pid, 10)
    assert json.loads(end(waiting)[1])["pid"] == hello.master_pid


def test_reloads_during_another_all_get_the_result_of_the_next(start: Start) -> None:
    hello = start("workers = 16", *CONTROL)
    first = begin(hello, "reload")
    hello.wait_for_log("worker ready slot=0", hello.wait_for_log("reloading generation=2"))
    hello.rewrite('workers = "many"')
    others = [begin(hello, "reload") for _ in range(5)]
    assert end(first) == (0, "reloaded: generation 2, 16 workers ready\n")
    assert {end(each) for each in others} == {(1, REFUSED.format(2))}
    assert status(hello)["last_reload"]["result"] == "failed"


def test_a_reload_among_many_hups_gets_a_result_and_the_service_comes_to_rest(start: Start) -> None:
    hello = start("workers = 2", *CONTROL)
    reloads = []
    for _ in range(5):
        reloads.append(begin(hello, "reload"))
        for _ in range(10):
            hello.signal(SIGHUP)
    assert {end(each)[0] for each in reloads} == {0}
    until(lambda: status(hello)["state"] == "serving", "the end of the last reload")
    until(lambda: len(status(hello)["workers"]) == 2, "the end of the workers before")


def test_a_reload_during_start_returns_when_the_service_serves(start: Start) -> None:
    hello = start.launch('workers = 8\n[hello]\nbody = "old"', *CONTROL)
    until((hello.folder / "control.sock").exists, "the control socket")
    hello.rewrite('workers = 8\n[hello]\nbody = "new"')
    assert command(hello, "reload") == (0, "reloaded: generation 2, 8 workers ready\n")
    hello.wait_until_ready()
    assert hello.get().content == b"new"


def test_while_it_stops_it_refuses_to_reload_and_to_resize_but_tells_its_state(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    client = hello.connect()
    client.send(HALF_A_HEAD)
    assert hello.connect().ask().status == 200
    stop = begin(hello, "stop")
    hello.wait_for_log("stopping how=graceful")
    stopping = (1, "prefork: error: the service is stopping\n")
    assert command(hello, "reload") == command(hello, "workers", "+1") == stopping
    assert status(hello)["state"] == "stopping"
    client.ask(GET.removeprefix(HALF_A_HEAD))
    hello.leave()
    assert end(stop) == (0, "stopped\n")
    assert hello.wait_for_exit() == 0


def test_a_reload_that_a_stop_overtakes_is_told_so(start: Start) -> None:
    hello = start("workers = 16", *CONTROL)
    reload = begin(hello, "reload")
    hello.wait_for_log("reloading generation=2")
    hello.stop(SIGTERM)
    code, printed = end(reload)
    assert (code, printed) in {
        (1, "prefork: error: the service is stopping\n"),
        (0, "reloaded: generation 2, 16 workers ready\n"),  # it was quicker
    }


def test_stop_returns_when_the_master_has_ended_and_its_socket_is_gone(start: Start) -> None:
    hello = start("workers = 2", *CONTROL)
    hello.expected_to_run = False
    assert command(hello, "stop") == (0, "stopped\n")
    until(lambda: not hello.is_running, "the end of the master, whose descriptors are closed")
    assert not (hello.folder / "control.sock").exists()
    code, printed = command(hello, "status")
    assert (code, printed) == (69, "prefork: error: no service listens at control.sock; see --name and --control\n")


def test_stop_fast_cuts_connections(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    client = hello.connect()
    client.send(HALF_A_HEAD)
    assert hello.connect().ask().status == 200
    hello.expected_to_run = False
    slow = begin(hello, "stop")
    hello.wait_for_log("stopping how=graceful")
    assert command(hello, "stop", "--fast") == end(slow) == (0, "stopped\n")


def test_workers_returns_when_so_many_are_ready(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    assert command(hello, "workers", "3") == (0, "3 workers ready\n")
    assert len(hello.worker_pids()) == 3
    assert command(hello, "workers", "+1") == (0, "4 workers ready\n")
    assert command(hello, "workers", "-2") == (0, "2 workers ready\n")
    hello.wait_for_workers(2)
    assert command(hello, "workers", "-2") == (
        64,
        "prefork: error: there can be from 1 to 1024 workers, not 0\n",
    )
    assert [each["phase"] for each in status(hello)["workers"]] == ["ready", "ready"]


def test_status_tells_people_and_machines_the_same(start: Start) -> None:
    hello = start("workers = 2", *CONTROL)
    told = status(hello)
    assert (told["name"], told["pid"], told["generation"]) == ("prefork-hello", hello.master_pid, 1)
    assert told["listeners"] == hello.addresses
    assert {each["pid"] for each in told["workers"]} == hello.worker_pids()
    code, printed = command(hello, "status")
    assert code == 0
    assert f"prefork-hello {told['version']}, pid {hello.master_pid}, serving, up 0:00:0" in printed
    for worker in told["workers"]:
        assert re.search(rf"\b{worker['slot']} +{worker['pid']}\b", printed)


def test_status_tells_what_each_worker_has_done_and_for_how_long(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    client = hello.connect()
    assert [client.ask().status for _ in range(3)] == [200] * 3
    (worker,) = until(lambda: [each for each in status(hello)["workers"] if each["requests"] >= 3], "the requests")
    assert (worker["requests"], worker["connections"]) == (3, 1)
    assert 0 < worker["age"] < status(hello)["uptime"]


def test_connections_that_are_being_opened_are_told_apart(start: Start) -> None:
    hello = start("workers = 1\nproxy_protocol = true\ntcp_defer_accept = 0", *CONTROL)
    silent = [hello.connect() for _ in range(3)]
    (worker,) = until(lambda: [each for each in status(hello)["workers"] if each["opening"] == 3], "three")
    assert worker["connections"] == 0
    for each in silent:
        each.close()
    until(lambda: status(hello)["workers"][0]["opening"] == 0, "their end")


def test_status_counts_what_was_refused_by_reason_over_dead_workers_and_an_upgrade(start: Start) -> None:
    hello = start("workers = 1\nheader_timeout = 0.4", *CONTROL)

    def refuse_and_count(count: int) -> None:
        assert hello.connect().ask(b"GET / HTTP/1.1\nHost: a\n\n").status == 400
        told = [{"status": 400, "reason": "bare line feed", "count": count}]
        until(lambda: status(hello)["refused"] == told, "the count")

    refuse_and_count(1)
    kill_workers(hello)
    refuse_and_count(2)
    assert command(hello, "upgrade")[0] == 0
    refuse_and_count(3)
    assert "\nrefused  status  reason\n      3     400  bare line feed\n" in command(hello, "status")[1]


def kill_workers(hello: Hello) -> None:
    before = hello.worker_pids()
    for pid in before:
        os.kill(pid, SIGKILL)
    hello.wait_for_workers(1, without=before)


def test_status_shows_a_worker_that_fails_again_and_again(start: Start) -> None:
    hello = start("workers = 2", *CONTROL)

    def failing() -> list[Any]:  # Any: a test reads JSON
        return [each for each in status(hello)["workers"] if each["phase"] == "backoff" and each["failures"] > 2]

    with killing_workers(hello):
        worker = until(failing, "a worker in backoff")[0]
    assert (worker["pid"], worker["age"]) == (None, None)
    assert worker["deadline"] < 30
    until(lambda: all(each["phase"] == "ready" for each in status(hello)["workers"]), "the workers")
    hello.take_stock()


@contextmanager
def killing_workers(hello: Hello) -> Iterator[None]:
    """Kill each worker as soon as it is there, until the block ends."""
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.01):
            for pid in hello.worker_pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    try:
        yield
    finally:
        ended.set()
        killing.join()


def test_status_says_why_a_worker_failed_last_until_a_reload(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    assert status(hello)["failure"] == ""
    kill_workers(hello)
    reason = r"worker 0 failed \d\d:\d\d:\d\d: killed by SIGKILL"
    assert re.fullmatch(reason, status(hello)["failure"])
    assert re.search(rf"\n{reason}\n\n", command(hello, "status")[1])
    hello.reload("workers = 1")
    assert status(hello)["failure"] == ""


def test_status_says_which_worker_is_silent_and_on_which_request(start: Start) -> None:
    hello = start("workers = 1", *CONTROL, under=WITH_BLOCKING)
    assert status(hello)["workers"][0]["silent"] == 0
    client = hello.connect()
    client.send(GET.replace(b" / ", b" /sleep?seconds=3600 "))
    until(lambda: status(hello)["workers"][0]["silent"], "its silence")
    (worker,), (_, said) = status(hello)["workers"], command(hello, "status")
    assert (worker["phase"], worker["request"]) == ("ready", "GET /sleep?seconds=3600")
    assert re.search(r"\nworker 0 has been silent for \d+ s, busy with GET /sleep\?seconds=3600\n\n", said)
    kill_workers(hello)
    assert status(hello)["workers"][0]["silent"] == 0


def test_status_says_what_has_kept_a_thread_for_long_and_so_does_the_end_of_its_worker(start_app: Start) -> None:
    hello = serve(start_app, "threads = 2", *CONTROL)
    client, patient = hello.connect(), hello.connect()
    client.send(request("/waits?go"))
    until(lambda: status(hello)["workers"][0]["busy"], "a busy thread")
    assert patient.ask().status == 200
    (worker,), (_, said) = status(hello)["workers"], command(hello, "status")
    assert (worker["request"], worker["silent"]) == ("GET /waits?go", 0)
    assert re.search(r"\nworker 0 has been busy with GET /waits\?go for \d+ s\n\n", said)
    client.close()  # whoever asked
    kill_workers(hello)
    hello.wait_for_log(' last_request="GET /" longest_request="GET /waits?go"')
    assert status(hello)["workers"][0]["busy"] == 0


def test_the_end_of_a_worker_names_no_request_that_is_over(start_app: Start) -> None:
    hello = serve(start_app, "threads = 2", *CONTROL)
    client = hello.connect()
    client.send(request("/waits?go"))
    until(lambda: status(hello)["workers"][0]["busy"], "a busy thread")
    hello.signal(SIGTERM)
    hello.wait_for_log("stopping")
    (hello.folder / "go").touch()
    assert client.answer().status == 200
    client.close()
    assert hello.wait_for_exit() == 0
    assert "worker exited" in hello.log
    assert "longest_request" not in hello.log


def test_dump_logs_the_stacks_of_all_workers_and_tells_them_apart(start: Start) -> None:
    hello = start("workers = 8", *CONTROL)
    assert command(hello, "dump") == (0, "told workers to write their stacks into the log: 8\n")
    until(lambda: hello.log.count(" in be_worker") == 8, "all stacks")
    lines = re.findall(r" stack pid=(\d+) line=(.*)", hello.log)
    stacks = {pid: [line for other, line in lines if other == pid] for pid, _ in lines}
    assert {int(pid) for pid in stacks} == hello.worker_pids()
    assert all(len(each) > 3 for each in stacks.values())
    for first, *rest in stacks.values():
        assert "most recent call first" in first
        assert all(re.fullmatch(r'"  File .* line \d+ in \S+"', each) for each in rest)
        assert rest[-1].endswith(' in be_worker"')
    assert hello.get().status_code == 200
    assert hello.worker_pids() == set(hello.descriptors)


def test_a_socket_that_a_killed_master_left_behind_is_taken_over(start: Start) -> None:
    hello = start("workers = 2", *CONTROL)
    hello.expected_to_run = False
    hello.signal(SIGKILL)
    hello.wait_until_gone()
    assert (hello.folder / "control.sock").exists()
    assert command(hello, "status")[0] == 69
    other = start("workers = 1", "--control", str(hello.folder / "control.sock"))
    assert status(hello)["pid"] == other.master_pid


def test_a_path_of_a_running_service_is_refused(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    path = str(hello.folder / "control.sock")
    code, error = start.refused("workers = 1", "--control", path)
    assert (code, "address in use" in error) == (69, True)
    assert status(hello)["pid"] == hello.master_pid


def test_the_second_service_of_a_name_serves_without_commands_and_says_so(start: Start, tmp_path: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path), "PREFORK_CONTROL": "auto"}
    first = start("workers = 1", environ=environ)
    second = start("workers = 1", environ=environ)
    assert "no commands obeyed reason=" in second.log
    assert "no commands obeyed reason=" not in first.log
    assert second.get().status_code == 200
    told = subprocess.run([PREFORK, "status", "--json"], env=environment(environ), capture_output=True, check=True)
    assert json.loads(told.stdout)["pid"] == first.master_pid


def test_a_name_is_in_titles_and_in_the_path(start: Start) -> None:
    folder = start.folder / "service-1"
    environ = {"XDG_RUNTIME_DIR": str(folder), "PREFORK_CONTROL": "auto"}
    hello = start("workers = 1", "--name", "shop", environ=environ, under=AS_NOBODY)
    assert proc.title(hello.master_pid) == "prefork-shop: master [hello.toml]"
    found = subprocess.run(
        [*AS_NOBODY, PREFORK, "status", "--json", "--name", "shop"],
        env=environment(environ),
        capture_output=True,
        check=True,
    )
    assert json.loads(found.stdout)["name"] == "prefork-shop"
    assert (folder / "prefork-shop.sock").is_socket()


def test_a_command_with_control_off_says_so(start: Start) -> None:
    ended = subprocess.run(
        [PREFORK, "status"], env={**os.environ, "PREFORK_CONTROL": "off"}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (69, "")
    assert ended.stderr.startswith("prefork: error: control is off: ")


def test_off_is_no_socket(start: Start) -> None:
    environ = {"RUNTIME_DIRECTORY": str(start.folder)}
    for control, sockets in (("auto", ["prefork.sock"]), ("off", [])):
        hello = start("workers = 1", "--control", control, environ=environ)
        assert [each.name for each in start.folder.rglob("*") if each.is_socket()] == sockets
        hello.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else")
def test_somebody_else_is_not_permitted(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    stranger = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    code, printed = command(hello, "stop", under=(*stranger, *READ_ALL))
    assert (code, printed) == (77, "prefork: error: control.sock: Permission denied\n")
    assert hello.is_running


def test_a_client_that_says_nothing_holds_nobody_up(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    silent = [hello.connect("unix:control.sock") for _ in range(10)]
    assert command(hello, "workers", "2") == (0, "2 workers ready\n")
    assert silent[0].until_closed() == b""


def test_no_worker_holds_the_connection_of_a_client(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    hello.connect("unix:control.sock")  # says nothing, while workers are forked
    assert command(hello, "workers", "3")[0] == 0
    before = set(proc.descriptors(hello.master_pid).values())
    hello.leave()
    until(lambda: before - set(proc.descriptors(hello.master_pid).values()), "the end of the connection")
    ended = before - set(proc.descriptors(hello.master_pid).values())
    for pid in hello.worker_pids():
        assert not ended & set(proc.descriptors(pid).values())


def test_a_service_that_serves_is_well(start: Start) -> None:
    hello = start("workers = 2", *CONTROL)
    assert command(hello, "health") == (0, "2 of 2 workers ready\n")
    assert " command name=health" not in hello.log


def test_a_service_that_is_not_there_or_has_no_worker_is_not_well(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    hello.signal(SIGWINCH)
    until(lambda: not hello.worker_pids(), "the end of the worker")
    assert command(hello, "health") == (1, "prefork: error: no worker is ready: none\n")
    assert hello.stop() == 0
    code, printed = command(hello, "health")
    assert (code, "no service listens at control.sock" in printed) == (1, True)


def test_workers_that_hang_are_not_well(start: Start) -> None:
    hello = start('workers = 1\nhang_timeout = "1s"', *CONTROL)
    (worker,) = hello.worker_pids()
    os.kill(worker, SIGSTOP)  # which excuses it from being replaced
    until(lambda: command(hello, "health")[0] == 1, "the service to be found unwell")
    assert command(hello, "health")[1].startswith("prefork: error: no worker answers: 1 ready, but quiet")
    os.kill(worker, SIGCONT)
    until(lambda: command(hello, "health")[0] == 0, "the service to be well again")


def test_nobody_waits_for_ever_for_what_a_master_that_hangs_would_tell_at_once(start: Start) -> None:
    hello = start("workers = 1", *CONTROL)
    hello.signal(SIGSTOP)
    asked = [(begin(hello, name), seconds) for name, seconds in (("health", 2), ("status", 5), ("dump", 5))]
    for each, seconds in asked:
        assert end(each) == (1, f"prefork: error: the service had no answer within {seconds} s\n")
    hello.signal(SIGCONT)


def test_who_stops_a_service_that_has_a_manager_is_told_that_it_may_come_back(start: Start) -> None:
    hello = start("workers = 1", *CONTROL, environ={"NOTIFY_SOCKET": "@nobody"})
    code, printed = command(hello, "stop")
    assert (code, printed.startswith("stopped; its service manager may start it again")) == (0, True)
    hello.wait_for_exit()
