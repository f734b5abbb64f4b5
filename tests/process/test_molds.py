"""`preload = "mold"`: one process imports the application, workers are its forks, and nothing depends on its health."""

import os
import random
import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, Signals

import pytest

from tests.process import proc
from tests.process.clients import Load
from tests.process.commands import CONTROL, command, status
from tests.process.hello import Hello
from tests.process.injecting import held_up, needs_strace
from tests.process.installing import NEXT, Installation
from tests.process.starting import AS_NOBODY, Start
from tests.process.test_privileges import NOBODY
from tests.process.waiting import until

APP = """
import os

with open("imports", "a") as file:
    file.write(f"{os.getpid()}\\n")

def answer(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(BODY).encode()]

"""
TRACER = """
import os

file = open(os.devnull)

def reopen():
    global file
    file.close()
    file = open(os.devnull)

os.register_at_fork(after_in_child=reopen)
"""
MOLD = 'app = "shop:answer"\npreload = "mold"'
TWO = f"{MOLD}\nworkers = 2"


def app(body: str = "'old'", more: str = "") -> str:
    """Return a module that notes who imports it, and whose application answers with the value of an expression."""
    return f"{APP}\n{more}\nBODY = {body}\n"


def imports(hello: Hello) -> list[int]:
    """Return the pids of all that have imported the application."""
    return [int(line) for line in (hello.folder / "imports").read_text().split()]


def children(hello: Hello, what: str) -> set[int]:
    """Return the pids of the master's children that call themselves this."""
    return {pid for pid in proc.children(hello.master_pid) if f": {what} " in proc.title(pid)}


def workers(hello: Hello) -> set[int]:
    return children(hello, "worker")


def mold(hello: Hello) -> int:
    """Wait until there is one mold, and return its pid."""
    (pid,) = until(lambda: molds if len(molds := children(hello, "mold")) == 1 else set(), "one mold")
    return pid


def replaced(hello: Hello, victims: Iterable[int], count: int) -> set[int]:
    """Wait until there are so many workers, all ready and none of the victims."""

    def found() -> set[int]:
        pids = workers(hello)
        ready = all(f"worker ready slot={slot}" in hello.log for slot in range(count))
        are_ready = all(re.search(rf"worker ready slot=\d+ pid={pid} ", hello.log) for pid in pids)
        return pids if ready and are_ready and len(pids) == count and not pids & set(victims) else set()

    return until(found, f"{count} workers")


@pytest.fixture
def shop(start_app: Start) -> Callable[..., Hello]:
    """Start an application in a mold."""

    def started(toml: str = TWO, *flags: str, module: str = app(), **more: object) -> Hello:
        start_app.files["shop.py"] = module
        return start_app(toml, *flags, **more)  # type: ignore[arg-type]  # as Start has them

    return started


Shop = Callable[..., Hello]


def test_what_watches_the_program_may_open_its_file_anew_in_each_process(shop: Shop, tmp_path: Path) -> None:
    """As Python does that writes its functions' names for perf(1)."""
    tmp_path.joinpath("sitecustomize.py").write_text(TRACER)
    hello = shop(environ={"PYTHONPATH": str(tmp_path)})
    assert hello.get().text == "old"
    assert hello.stop() == 0


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_the_application_is_imported_once_for_all_workers_and_never_by_the_master(shop: Shop, accept: str) -> None:
    hello = shop(f'{MOLD}\nworkers = 4\naccept = "{accept}"')
    assert imports(hello) == [mold(hello)]
    assert len(workers(hello)) == 4
    assert {hello.connect().ask().body for _ in range(20)} == {b"old"}
    hello.signal(SIGTTIN)
    replaced(hello, (), 5)
    assert imports(hello) == [mold(hello)]
    hello.signal(SIGTTOU)
    until(lambda: len(workers(hello)) == 4, "one worker fewer")


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_a_reload_imports_changed_code_in_a_new_mold_and_loses_nothing(shop: Shop, accept: str) -> None:
    hello = shop(f'{TWO}\naccept = "{accept}"')
    old = mold(hello)
    hello.edit(app("'new'"))
    with Load(hello.connect) as load:
        load.wait_for_more()
        hello.hang_up(" reloaded generation=2")
        load.wait_for_more()
    assert load.lost == []
    assert {hello.connect().ask().body for _ in range(20)} == {b"new"}
    assert imports(hello) == [old, mold(hello)]


def test_a_reload_with_a_broken_application_keeps_the_old_code_and_its_mold(shop: Shop) -> None:
    hello = shop()
    before = mold(hello)
    hello.edit(app() + "def broken(:\n")
    said = hello.hang_up("reload failed generation=2 kept=1 reason=")
    assert "mold can't get ready generation=2" in said
    assert re.search(r'reload failed .* reason="shop:answer: SyntaxError: .* \(shop.py:\d+\)"', said)
    assert hello.get().text == "old"
    (victim, _) = workers(hello)
    os.kill(victim, SIGKILL)
    replaced(hello, [victim], 2)
    assert mold(hello) == before
    hello.edit(app("'fixed'"))
    hello.hang_up(" reloaded generation=3")
    assert hello.get().text == "fixed"


def test_an_application_that_can_not_be_imported_ends_the_start_with_65(start_app: Start) -> None:
    start_app.files = {"shop.py": app(more="import flaskk")}
    status_, line = start_app.refused(TWO)
    assert status_ == 65
    assert line.startswith("prefork: error: shop:answer: ModuleNotFoundError: No module named 'flaskk' (shop.py:")


def test_an_import_that_ends_the_mold_gives_the_start_up(start_app: Start) -> None:
    start_app.files = {"shop.py": app(more="os._exit(3)")}
    assert start_app.refused(TWO) == (70, "prefork: error: gave up: 3 workers in a row failed: the mold: exit status 3")


def test_an_import_that_hangs_says_where_and_fails_the_reload_at_boot_timeout(shop: Shop) -> None:
    hello = shop()
    hello.rewrite(f"{TWO}\nboot_timeout = 3")
    hello.edit(app(more="import time\ntime.sleep(3600)"))
    said = hello.hang_up("reload failed generation=2 kept=1 reason=")
    assert re.search(r'stack pid=\d+ line=".*shop.py\\", line \d+ in <module>"', said)
    assert "killing mold generation=2 pid=" in said
    assert hello.get().text == "old"
    assert len(workers(hello)) == 2
    mold(hello)


def test_a_killed_worker_is_replaced_from_the_same_mold_though_the_code_has_changed(shop: Shop) -> None:
    hello = shop()
    hello.edit(app("'new'"))
    for _ in range(3):
        victims = workers(hello)
        for pid in victims:
            os.kill(pid, SIGKILL)
        replaced(hello, victims, 2)
    assert imports(hello) == [mold(hello)]
    assert {hello.connect().ask().body for _ in range(20)} == {b"old"}


def test_worn_workers_are_replaced_from_the_same_mold(shop: Shop) -> None:
    hello = shop(f"{TWO}\nmax_requests = 50")
    with Load(hello.connect) as load:
        hello.wait_for_log(
            "generation=1", hello.wait_for_log("recycling worker", hello.wait_for_log("recycling worker"))
        )
        load.wait_for_more(300)
    assert load.lost == []
    assert imports(hello) == [mold(hello)]


def test_a_killed_mold_is_replaced_when_the_next_worker_is_needed_and_the_service_goes_on(shop: Shop) -> None:
    hello = shop()
    first = mold(hello)
    before = workers(hello)
    with Load(hello.connect) as load:
        os.kill(first, SIGKILL)
        hello.wait_for_log(f'mold exited generation=1 pid={first} reason="killed by SIGKILL"')
        load.wait_for_more()
        assert workers(hello) == before
    assert load.lost == []
    for pid in before:
        os.kill(pid, SIGKILL)
    replaced(hello, before, 2)
    assert imports(hello) == [first, mold(hello)]


def test_a_mold_and_its_workers_that_are_killed_together_come_back(shop: Shop) -> None:
    hello = shop()
    victims = {mold(hello), *workers(hello)}
    for pid in victims:
        os.kill(pid, SIGKILL)
    replaced(hello, victims, 2)
    assert hello.get().text == "old"


def test_a_stopped_mold_is_killed_at_boot_timeout_and_the_worker_comes_from_another(shop: Shop) -> None:
    hello = shop(f'{TWO}\nboot_timeout = 1\naccept = "shared"')
    first = mold(hello)
    (victim, other) = workers(hello)
    os.kill(first, SIGSTOP)
    with Load(hello.connect, keep_alive=0) as load:
        os.kill(victim, SIGKILL)
        place = hello.wait_for_log(f'killing mold generation=1 pid={first} reason="boot_timeout passed"')
        hello.wait_for_log("mold ready", place)
        assert other in replaced(hello, [victim], 2)
        load.wait_for_more()
    assert len(load.lost) <= 3  # what the killed worker held
    assert mold(hello) != first


def test_a_resize_that_a_stopped_mold_holds_up_can_be_taken_back(shop: Shop) -> None:
    hello = shop(TWO, *CONTROL)
    os.kill(mold(hello), SIGSTOP)
    before = workers(hello)
    hello.signal(SIGTTIN)
    until(lambda: any(each["phase"] == "starting" for each in status(hello)["workers"]), "a third worker asked for")
    hello.signal(SIGTTOU)
    until(lambda: len(status(hello)["workers"]) == 2, "two places")
    os.kill(mold(hello), SIGCONT)
    hello.signal(SIGTTIN)
    assert before < replaced(hello, (), 3)
    assert hello.get().text == "old"


@needs_strace
def test_a_worker_that_is_taken_back_before_the_mold_has_told_of_it_is_reaped_in_the_end(shop: Shop) -> None:
    hello = shop(TWO)
    known = proc.all_children(hello.master_pid)
    with held_up(mold(hello), "sendmsg"):
        hello.signal(SIGTTIN)
        (worker,) = until(lambda: set(proc.all_children(hello.master_pid)) - set(known), "the third worker")
        hello.signal(SIGTTOU)
        until(lambda: proc.process(worker) is None, "it to end")
    until(lambda: proc.all_children(hello.master_pid) == known, "it to be reaped")


def test_a_mold_that_may_not_fork_costs_no_worker_and_forks_when_it_may(shop: Shop) -> None:
    hello = shop(under=AS_NOBODY)
    limited = mold(hello)
    (victim, other) = workers(hello)
    subprocess.run([*AS_NOBODY, "prlimit", f"--pid={limited}", "--nproc=1:"], check=True)
    os.kill(victim, SIGKILL)
    hello.wait_for_log('reason="can\'t fork: Resource temporarily unavailable" respawn_in=0.')
    assert all(hello.get().text == "old" for _ in range(20))
    _soft, hard = resource.prlimit(os.getpid(), resource.RLIMIT_NPROC)
    limit = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    subprocess.run([*AS_NOBODY, "prlimit", f"--pid={limited}", f"--nproc={limit}:"], check=True)
    assert other in replaced(hello, [victim], 2)
    assert mold(hello) == limited


def test_a_mold_without_descriptors_costs_no_worker(shop: Shop) -> None:
    hello = shop()
    limited = mold(hello)
    (victim, other) = workers(hello)
    _soft, hard = resource.prlimit(limited, resource.RLIMIT_NOFILE)
    resource.prlimit(limited, resource.RLIMIT_NOFILE, (3, hard))
    os.kill(victim, SIGKILL)
    hello.wait_for_log('reason="can\'t fork: Too many open files" respawn_in=0.')
    resource.prlimit(limited, resource.RLIMIT_NOFILE, (hard, hard))
    assert other in replaced(hello, [victim], 2)


def test_a_master_without_descriptors_gets_its_worker_when_it_has_some_again(shop: Shop) -> None:
    hello = shop(f"{MOLD}\nworkers = 8")
    victims = workers(hello)
    _soft, hard = resource.prlimit(hello.master_pid, resource.RLIMIT_NOFILE)
    free = max(proc.descriptors(hello.master_pid)) + 1
    for more, victim in zip(range(-4, 4), sorted(victims), strict=True):  # each its first failure: no long backoff
        resource.prlimit(hello.master_pid, resource.RLIMIT_NOFILE, (max(3, free + more), hard))
        before = len(hello.log)
        os.kill(victim, SIGKILL)
        hello.wait_for_log("worker failed slot=", before)
        resource.prlimit(hello.master_pid, resource.RLIMIT_NOFILE, (hard, hard))
        replaced(hello, [victim], 8)
    assert hello.get().text == "old"


def test_threads_in_the_mold_are_named_in_a_warning(shop: Shop) -> None:
    thread = "import threading\nthreading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()"
    hello = shop(module=app(more=thread))
    assert "threads are not in the workers; start them in post_fork names=poller\n" in hello.log
    hello.signal(SIGTTIN)
    replaced(hello, (), 3)
    assert hello.log.count("threads are not in the workers") == 1


HOOKS = """
import os

def say(name):
    def hook(worker):
        assert worker.pid == os.getpid()
        worker.log.info(name, imported=os.path.exists("imports"))
    return hook

post_fork, post_worker_init, pre_stop, worker_exit = map(say, ("post_fork", "post_worker_init", "pre_stop", "worker_exit"))
"""


def test_hooks_are_called_in_each_worker(start_app: Start, shop: Shop) -> None:
    start_app.files["hooks.py"] = HOOKS
    hello = shop(f'{TWO}\nhooks = "hooks"')
    pids = workers(hello)
    assert hello.stop() == 0
    for pid in pids:
        own = re.findall(rf"worker-\d\[{pid}\] (post_\w+|worker_exit) (.*)", hello.log)
        assert own == [(name, "imported=True") for name in ("post_fork", "post_worker_init", "worker_exit")]


def test_what_was_registered_in_the_mold_is_called_at_the_exit_of_each_worker(start_app: Start, shop: Shop) -> None:
    hello = shop(module=app("''", "import atexit, os\natexit.register(lambda: print('at exit of', os.getpid()))"))
    pids = workers(hello)
    assert hello.stop() == 0
    assert {int(pid) for pid in re.findall(r"at exit of (\d+)$", hello.log, re.MULTILINE)} == pids


def test_a_hook_that_raises_fails_the_worker_and_not_the_mold(start_app: Start, shop: Shop) -> None:
    start_app.files["hooks.py"] = "def post_fork(worker):\n    if worker.slot == 2: raise ValueError('no')\n"
    hello = shop(f'{TWO}\nhooks = "hooks"')
    before = mold(hello)
    hello.signal(SIGTTIN)
    hello.wait_for_log("worker can't get ready slot=2")
    hello.signal(SIGTTOU)
    until(lambda: len(workers(hello)) == 2, "two workers")
    assert (mold(hello), hello.get().text) == (before, "old")


def test_the_garbage_collector_is_frozen_in_the_workers_and_works(shop: Shop) -> None:
    hello = shop(
        module=app("''").replace("str(BODY)", "repr((gc.isenabled(), gc.get_freeze_count() > 1000))") + "import gc\n"
    )
    assert hello.get().text == "(True, True)"


def test_an_application_that_wants_no_garbage_collector_gets_none(shop: Shop) -> None:
    hello = shop(module=app("''", "import gc\ngc.disable()").replace("str(BODY)", "repr(gc.isenabled())"))
    assert hello.get().text == "False"


def test_an_application_that_ignores_the_ends_of_children_is_forked_all_the_same(shop: Shop) -> None:
    hello = shop(module=app(more="import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)"))
    assert len(workers(hello)) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes somebody else")
def test_the_mold_becomes_the_workers_user_before_it_imports(start_app: Start, open_folder: Path) -> None:
    open_folder.chmod(0o777)
    (open_folder / "shop.py").write_text(app("(os.getuid(), AT_IMPORT)", "AT_IMPORT = os.getuid()"))
    hello = start_app(f'{TWO}\nuser = "nobody"\nchdir = "{open_folder}"')
    assert hello.get().text == f"({NOBODY.pw_uid}, {NOBODY.pw_uid})"
    assert proc.status(mold(hello))["Uid"] == [str(NOBODY.pw_uid)] * 4


def test_the_mold_and_its_workers_hold_nothing_of_the_masters_or_of_each_other(shop: Shop) -> None:
    hello = shop(f'{TWO}\naccess_log = "access.log"', *CONTROL, bind=("127.0.0.1:0", "unix:shop.sock"))
    hello.hang_up(" reloaded generation=2")
    replaced(hello, hello.descriptors, 2)
    held = {pid: set(proc.descriptors(pid).items()) for pid in (mold(hello), *workers(hello))}
    sockets = [target for each in held.values() for _fd, target in each if target.startswith("socket:")]
    listening = {target for target in sockets if sockets.count(target) > 1}
    assert len(listening) == 1  # the unix socket, which all workers share
    assert sum("eventpoll" in target for _fd, target in held[mold(hello)]) == 0
    assert sum(target.startswith("socket:") for _fd, target in held[mold(hello)]) == 1  # its channel
    assert not proc.inheritable(mold(hello)).keys() - {0, 1, 2}


def test_the_log_files_are_reopened_in_the_mold_too(shop: Shop) -> None:
    hello = shop(f'{TWO}\nlog = "hello.log"', log_file="hello.log")
    (hello.folder / "hello.log").rename(hello.folder / "old.log")
    hello.signal(SIGUSR1)
    hello.wait_for_log("log files reopened")
    victims = workers(hello)
    for pid in victims:
        os.kill(pid, SIGKILL)
    until(lambda: len(workers(hello) - victims) == 2, "two workers")
    renamed = str(hello.folder / "old.log")
    until(
        lambda: not any(renamed in proc.descriptors(pid).values() for pid in hello.session_pids()), "the old log's end"
    )


def test_an_upgrade_makes_a_mold_of_its_own_and_leaves_nothing_of_the_old_one(
    shop: Shop, installed: Installation
) -> None:
    hello = shop(TWO, *CONTROL, environ=installed.environ)
    old = mold(hello)
    before = len(proc.descriptors(hello.master_pid))
    installed.replace()
    hello.edit(app("'new'"))
    with Load(hello.connect) as load:
        load.wait_for_more()
        assert command(hello, "upgrade") == (0, f"upgraded to {NEXT}: generation 2, 2 workers ready\n")
        load.wait_for_more()
    assert load.lost == []
    assert {hello.connect().ask().body for _ in range(20)} == {b"new"}
    assert [imports(hello)[0], imports(hello)[-1]] == [old, mold(hello)]  # between them the trial's
    until(lambda: len(proc.descriptors(hello.master_pid)) == before, "as many descriptors as before")


def test_after_an_upgrade_that_fails_the_old_generation_replaces_its_workers(
    shop: Shop, installed: Installation
) -> None:
    hello = shop(TWO, *CONTROL, environ=installed.environ)
    before = workers(hello)
    installed.replace()
    hello.edit(app("'new'", "if len(open('imports').readlines()) == 3: raise ValueError('the trial was the second')"))
    code, said = command(hello, "upgrade")
    assert (code, workers(hello)) == (1, before), said
    assert "upgrade failed generation=2 kept=1 reason=" in hello.log
    victim = min(before)
    os.kill(victim, SIGKILL)
    replaced(hello, [victim], 2)
    assert "mold started generation=1 " in hello.log[hello.log.index("upgrade failed") :]


@pytest.mark.parametrize("more", ["", "import time\nif os.path.exists('slow'): time.sleep(3600)"])
def test_when_the_master_is_killed_nothing_is_left_of_the_mold(shop: Shop, more: str) -> None:
    hello = shop(module=app(more=more))
    (hello.folder / "slow").touch()
    hello.signal(SIGHUP)
    hello.wait_for_log("mold started generation=2")
    hello.signal(SIGKILL)
    hello.wait_for_exit()
    hello.wait_until_gone()


def test_a_stop_does_not_wait_for_an_import(start_app: Start) -> None:
    start_app.files = {"shop.py": app(more="import time\ntime.sleep(3600)")}
    hello = start_app.launch(TWO)
    until((hello.folder / "imports").exists, "the import to begin")
    assert hello.stop(SIGTERM) == 0


def test_the_status_shows_the_mold(shop: Shop) -> None:
    hello = shop(TWO, *CONTROL)
    (shown,) = status(hello)["molds"]
    assert (shown["pid"], shown["generation"], shown["state"]) == (mold(hello), 1, "ready")
    assert f"mold {mold(hello)} of generation 1, ready, up 0:00:" in command(hello, "status")[1]


def test_whatever_happens_to_molds_and_workers_in_whatever_order_the_service_recovers(
    shop: Shop, installed: Installation
) -> None:
    hello = shop(f'{MOLD}\nworkers = 3\nboot_timeout = 1\naccept = "shared"', environ=installed.environ)
    chance = random.Random(4)

    def send(number: Signals, pids: Iterable[int]) -> None:
        with suppress(ProcessLookupError):
            os.kill(chance.choice([*pids] or [2**22 + 1]), number)

    deeds: list[Callable[[], None]] = [
        lambda: send(SIGKILL, workers(hello)),
        lambda: send(SIGKILL, children(hello, "mold")),
        lambda: send(SIGSTOP, children(hello, "mold")),
        *[partial(hello.signal, number) for number in (SIGHUP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2)],
    ]
    for _ in range(60):
        chance.choice(deeds)()
        time.sleep(chance.uniform(0, 0.1))  # not a wait: the moment is what is tried
    for pid in proc.children(hello.master_pid):  # one that was a mold when it was stopped may be a worker by now
        send(SIGCONT, [pid])
    hello.rewrite(f"{MOLD}\nworkers = 3")
    before = len(hello.log)
    hello.signal(SIGHUP)
    hello.wait_for_log(" reloaded ", before)
    until(lambda: len(workers(hello)) == 3, "the workers of the last reload")
    mold(hello)
    assert hello.get().text == "old"


def pss(pid: int) -> int:
    """Return the bytes of a process, what it shares divided by how many share it (proc(5), smaps_rollup)."""
    (line,) = re.findall(r"^Pss: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(line) * 1024


def test_four_workers_share_the_memory_of_a_large_application(shop: Shop) -> None:
    large = "DATA = [{'n': str(n), 'l': [n]} for n in range(120_000)]\nimport gc"
    hello = shop(f"{MOLD}\nworkers = 4", module=app("''", large).replace("str(BODY)", "repr(gc.collect())"))
    for _ in range(40):
        assert hello.get().text.isdecimal()
    alone = proc.resident_bytes(mold(hello))
    assert alone > 50 * 2**20
    assert sum(map(pss, {mold(hello), *workers(hello)})) < 2.5 * alone


def test_what_an_application_prints_that_has_closed_its_standard_output_reaches_neither_master_nor_heir(
    start_app: Start,
) -> None:
    printing = "os.close(1)\n\ndef printed():\n    os.write(1, b'printed')\n    return 'ok'\n"
    start_app.files = {"shop.py": app("", printing).replace("str(BODY)", "printed()").replace("BODY = \n", "")}
    hello = start_app(f"{MOLD}\nworkers = 1")
    before = hello.worker_pids()
    idle = [hello.connect() for _ in range(3)]
    assert [each.ask().body for each in idle] == [b"ok"] * 3
    assert hello.worker_pids() == before
    hello.signal(SIGHUP)
    hello.wait_for_log(" reloaded ")
    assert [each.ask().body for each in idle] == [b"ok"] * 3
