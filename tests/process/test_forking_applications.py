"""Applications that start processes and threads of their own, or take signals, with one thread and with several."""

import re
from pathlib import Path
from signal import SIGTTIN, SIGTTOU
from typing import Final

import pytest

from tests.process import proc
from tests.process.clients import Answer
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.waiting import until

APPLICATION: Final = """
import multiprocessing, os, re, signal, subprocess, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

processes, executors = [], []


def wait_for(name):
    while not Path(name).exists():
        time.sleep(0.005)


def write_late():
    wait_for("go")
    Path("late").touch()


def hello():
    return os.getpid()


def start():
    processes.append(multiprocessing.get_context("fork").Process(target=wait_for, args=("go",)))
    processes[-1].start()
    return processes[-1].pid


def start_late():
    Path("begun").touch()
    wait_for("leave")
    return start()


def terminate():
    start()
    processes[-1].terminate()
    return join()


def join():
    process = processes.pop()
    process.join()
    code = process.exitcode
    process.close()
    return code


def fork_and(do):
    pid = os.fork()
    if not pid:
        return do()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def exits():
    return fork_and(lambda: sys.exit(7))


def raises():
    return fork_and(lambda: 1 / 0)


def returns():
    return fork_and(lambda: "twice")


def ignored():
    return re.search("SigIgn.*", subprocess.check_output(["cat", "/proc/self/status"], text=True))[0]


def kill_self():
    os.kill(os.getpid(), signal.SIGUSR1)
    return os.getpid()


def compute():
    executors.append(ProcessPoolExecutor(2))
    return sum(executors[-1].map(abs, [-1, -2, -3]))


def leave_to_executor():
    executors.append(ThreadPoolExecutor(1))
    executors[-1].submit(write_late)


def leave_to_thread():
    threading.Thread(target=write_late).start()


def answer(environ, start_response):
    said = str(globals()[environ["PATH_INFO"][1:] or "hello"]()).encode()
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]
"""


@pytest.fixture(params=["threads = 1", "threads = 4"])
def serving(start_app: Start, request: pytest.FixtureRequest) -> Hello:
    start_app.files = {"forking.py": APPLICATION}
    return start_app(f'app = "forking:answer"\nworkers = 1\n{request.param}')


def ask(hello: Hello, path: str, *fields: str) -> Answer:
    client = hello.connect()
    found = client.ask(get(path, *fields))
    client.close()
    return found


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a.example", *fields, "", ""]).encode()


def said(hello: Hello, path: str) -> str:
    found = ask(hello, path)
    assert found.status == 200
    return found.body.decode()


# Processes


def test_a_process_of_the_applications_own_holds_no_connection_and_disturbs_nobody(serving: Hello) -> None:
    kept = serving.connect()
    assert kept.ask(get("/")).status == 200
    child = int(said(serving, "/start"))
    until(lambda: not [each for each in proc.descriptors(child).values() if "socket:" in each], "it to let go of all")
    kept.close()
    for _ in range(50):
        assert said(serving, "/") == ask(serving, "/", "Connection: close").body.decode()
    assert proc.cpu_share(serving.worker_pids()) < 0.5
    serving.let_go()
    assert said(serving, "/join") == "0"


def test_a_process_that_is_started_while_connections_are_handed_over_holds_nothing_of_that(start_app: Start) -> None:
    start_app.files = {"forking.py": APPLICATION}
    options = 'app = "forking:answer"\nworkers = 1\nthreads = 4'
    hello = start_app(options)
    busy, idle = hello.connect(), hello.connect()
    old = idle.ask(get("/")).body
    busy.send(get("/start_late"))
    until((hello.folder / "begun").exists, "the application to be at work")
    hello.reload(options, bind=hello.addresses)
    until(lambda: idle.ask(get("/")).body != old, "the idle connection to be handed over")
    (hello.folder / "leave").touch()
    child = int(busy.answer().body)
    until(lambda: not [each for each in proc.descriptors(child).values() if "socket:" in each], "it to let go of all")
    hello.let_go()


def test_a_process_of_the_applications_own_is_ended_by_sigterm_which_its_worker_does_not_get(serving: Hello) -> None:
    assert (said(serving, "/terminate"), said(serving, "/terminate")) == ("-15", "-15")
    assert "recycling" not in serving.log


@pytest.mark.parametrize(("path", "status"), [("/exits", "7"), ("/raises", "1"), ("/returns", "1")])
def test_a_forked_process_that_comes_back_to_the_server_ends_and_answers_nobody(
    serving: Hello, path: str, status: str
) -> None:
    client = serving.connect()
    assert client.ask(get(path)).body.decode() == status
    assert client.ask(get("/")).body.decode() == str(*serving.worker_pids())
    assert "worker exited" not in serving.log


def test_programs_that_the_application_runs_ignore_no_signal_but_of_the_terminals(serving: Hello) -> None:
    assert said(serving, "/ignored").split() == ["SigIgn:", f"{1 << SIGTTIN - 1 | 1 << SIGTTOU - 1:016x}"]


def test_pools_of_processes_end_with_their_worker(serving: Hello) -> None:
    assert said(serving, "/compute") == "6"
    assert serving.stop() == 0
    assert re.search('worker exited slot=0 .* reason="exit status 0"', serving.log)


# Threads


@pytest.mark.parametrize("path", ["/leave_to_executor", "/leave_to_thread"])
def test_what_was_left_to_threads_is_done_before_a_worker_ends(serving: Hello, path: str) -> None:
    (pid,) = serving.worker_pids()
    assert said(serving, path) == "None"
    before = len(serving.log)
    serving.reload(Path(serving.folder / "hello.toml").read_text().partition("\n")[2], bind=serving.addresses)
    serving.let_go()
    until((serving.folder / "late").exists, "what was left to the thread")
    serving.wait_for_log(f'worker exited slot=0 pid={pid} generation=1 reason="exit status 0"', before)


# Signals


def test_a_signal_that_the_application_takes_is_its_own(start_app: Start) -> None:
    start_app.files = {
        "forking.py": APPLICATION
        + "\n\ndef alarm():\n    taken = []\n    signal.signal(signal.SIGALRM, lambda *_: taken.append(1))\n"
        "    signal.raise_signal(signal.SIGALRM)\n    return taken\n"
    }
    hello = start_app('app = "forking:answer"\nworkers = 1')
    (pid,) = hello.worker_pids()
    assert said(hello, "/alarm") == "[1]"
    for _ in range(5):
        assert said(hello, "/") == str(pid)
    assert "recycling" not in hello.log
