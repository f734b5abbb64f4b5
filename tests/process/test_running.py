"""`prefork run`: the user's own application, from the command line to the loaded callable."""

import os
import re
import socket
import subprocess
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGQUIT

import pytest

from tests.process import proc
from tests.process.clients import GET, Load
from tests.process.commands import CONTROL, PREFORK, command
from tests.process.hello import ANY_PORT
from tests.process.installing import NEXT, Installation
from tests.process.starting import AS_NOBODY, CHILDREN_IGNORED, RUN, Start, environment, run
from tests.process.test_privileges import NOBODY
from tests.process.waiting import until

APP = """
import os

def answer(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(BODY).encode()]
"""
SHOP = 'app = "shop:answer"\nworkers = 2'


def app(body: str) -> str:
    """Return a module whose application answers with the value of an expression at the time of its import."""
    return f"{APP}\nBODY = {body}\n"


def test_changed_code_answers_after_a_reload_under_load_that_loses_nothing(start_app: Start) -> None:
    start_app.files = {"shop.py": app("'old'")}
    hello = start_app(SHOP)
    assert hello.get().text == "old"
    hello.edit(app("'new'"))  # as long as before, and maybe in the same second
    with Load(hello.connect) as load:
        load.wait_for_more()
        hello.hang_up(" reloaded generation=2")
        load.wait_for_more()
    assert load.lost == []
    assert {hello.connect().ask().body for _ in range(20)} == {b"new"}


ASKING = """
import socket

def answer(environ, start_response):
    with socket.create_connection(("127.0.0.1", PORT)) as other:
        said = other.recv(100)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said]
"""


def test_sockets_of_the_applications_own_wait_as_elsewhere(start_app: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        start_app.files = {"shop.py": f"{ASKING}\nPORT = {other.getsockname()[1]}\n"}
        client = start_app(SHOP).connect()
        client.send(GET)
        connection, _ = other.accept()
        with connection:
            connection.sendall(b"here")
        assert client.answer().body == b"here"


def test_a_broken_application_keeps_the_old_code_and_the_fix_replaces_it(start_app: Start) -> None:
    start_app.files = {"shop.py": app("'old'")}
    hello = start_app(SHOP, *CONTROL)
    hello.edit("import os\ndef answer(:\n")
    reason = "shop:answer: SyntaxError: invalid syntax (shop.py:2)"
    log = hello.hang_up(" reload failed generation=2 kept=1 ")
    assert log.count("def answer(:") == 1
    assert f'reason="{reason}"' in log
    assert hello.get().text == "old"
    failure = f"prefork: error: reload failed, generation 1 goes on: {reason}\n"
    assert command(hello, "reload") == (1, failure)
    assert hello.worker_pids() == set(hello.descriptors)
    assert "worker failed" not in hello.log
    hello.edit(app("'fixed'"))
    assert command(hello, "reload") == (0, "reloaded: generation 4, 2 workers ready\n")
    assert hello.get().text == "fixed"


def test_reloads_that_fail_leave_no_socket_and_no_file_open(start_app: Start) -> None:
    start_app.files = {"shop.py": app("'old'")}
    hello = start_app(SHOP)
    before = proc.descriptors(hello.master_pid)
    more = (*ANY_PORT, "127.0.0.2:0", "unix:more.sock")
    hello.rewrite(f'{SHOP}\naccess_log = "no/such/file"', more)
    hello.hang_up("reload failed generation=2 kept=1 ")
    assert not (hello.folder / "more.sock").exists()
    hello.edit("1 / 0")
    hello.rewrite(f'{SHOP}\naccess_log = "access"', more)
    hello.hang_up("reload failed generation=3 kept=1 ")
    until(lambda: proc.descriptors(hello.master_pid) == before, "the master's descriptors")
    assert not (hello.folder / "more.sock").exists()


@pytest.mark.parametrize("access_log", ["-", "access.log", "no/such/file"])
def test_a_reload_that_fails_after_it_was_to_log_elsewhere_logs_on_standard_error(
    start_app: Start, access_log: str
) -> None:
    start_app.files = {"shop.py": app("'old'")}
    hello = start_app(SHOP)
    before = proc.descriptors(hello.master_pid)
    hello.edit("1 / 0")
    hello.rewrite(f'{SHOP}\nlog = "new.log"\naccess_log = "{access_log}"')
    hello.hang_up("reload failed generation=2 kept=1 ")
    until(lambda: proc.descriptors(hello.master_pid) == before, "the master's descriptors")


def test_a_reload_that_logs_elsewhere_keeps_nothing_of_standard_error(start_app: Start) -> None:
    start_app.files = {"shop.py": app("'old'")}
    hello = start_app(SHOP)
    stderr = proc.descriptors(hello.master_pid)[2]
    hello.rewrite(f'{SHOP}\nlog = "new.log"')
    hello.signal(SIGHUP)
    log = hello.folder / "new.log"
    until(lambda: log.exists() and " reloaded generation=2" in log.read_text(), "the reload")
    for pid in (hello.master_pid, *hello.wait_for_workers(2, without=hello.descriptors)):
        assert [fd for fd, name in proc.descriptors(pid).items() if name == stderr] == [1]  # which is the same file


def test_the_master_never_imports_the_application(start_app: Start) -> None:
    start_app.files = {"shop.py": app("os.getpid()")}
    hello = start_app(SHOP)
    seen = {int(hello.connect().ask().body) for _ in range(50)}
    assert seen <= hello.worker_pids()
    assert str(hello.folder) not in Path(f"/proc/{hello.master_pid}/maps").read_text()


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_an_application_that_can_not_be_imported_ends_the_start_at_once(start_app: Start, accept: str) -> None:
    start_app.files = {"shop.py": "import os\nimport flaskk\n"}
    hello = start_app.launch(f'app = "shop:answer"\nworkers = 4\naccept = "{accept}"')
    assert hello.wait_for_exit() == 65
    reason = "shop:answer: ModuleNotFoundError: No module named 'flaskk' (shop.py:2)"
    assert hello.log.endswith(f"\nprefork: error: {reason}\n")
    told = re.findall(r' traceback line="(.*)"', hello.log)
    assert [each.strip().removesuffix(". Did you mean: 'flask'?") for each in told] == [  # so 3.15 ends
        rf"File \"{hello.folder}/shop.py\", line 2, in <module>",
        "import flaskk",
        "ModuleNotFoundError: No module named 'flaskk'",
    ]


@pytest.mark.parametrize(
    ("toml", "status", "line"),
    [
        ('app = "shopp:answer"', 65, "shopp:answer: there is no module shopp in {folder}, did you mean shop?"),
        ('app = "shop:anwser"', 65, "shop:anwser: shop has no anwser, did you mean answer?"),
        ('app = "shop:BODY"', 65, "shop:BODY: BODY is an object of int, which can't be called"),
        ('app = "leave:app"', 65, "leave:app: it ends by sys.exit('no database') (leave.py:2)"),
        ('app = "green:answer"', 65, "green:answer: it replaces what Python waits by, as gevent.monkey does, and prefork can't serve then; take threads"),
        ('app = "shop:answer"\nchdir = "no"', 66, "chdir: no: no such file or directory"),
        ('app = "shop:answer"\nenv_file = "no"', 66, "env_file: no: cannot be read: no such file or directory"),
        ('app = "shop:answer"\nenv_file = "/dev/zero"', 78, "env_file: /dev/zero: cannot be read: not a regular file"),
        ('app = "shop:answer"\nenv_file = "env"', 78, "env:2: expected KEY=VALUE"),
        ('app = "shop:answer"\nhooks = "leave"', 65, "hooks: leave: it ends by sys.exit('no database') (leave.py:2)"),
        ("", 64, "hello.toml: no application, name it as in `prefork run shop.wsgi:app` or set app in the configuration"),
        ('app = "shop.py"', 78, 'hello.toml:2: app: expected MODULE:CALLABLE or MODULE:FACTORY() such as "shop.wsgi:app", got "shop.py", did you mean shop?'),
        ('app = "shop:answer"\n[hello]\nstatus = 201', 78, "hello.toml:4: hello.status: belongs to prefork-hello, not to this command"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("flags", [(), ("--check-config",)])
def test_what_can_not_be_served_is_refused_with_its_own_status(
    start_app: Start, toml: str, status: int, line: str, flags: tuple[str, ...]
) -> None:
    start_app.files = {
        "shop.py": app("7"),
        "leave.py": "import sys\nsys.exit('no database')",
        "green.py": f"import select\ndel select.epoll\n{app('7')}",
        "env": "A=b\nC",
    }
    folder = start_app.folder / "service-1"
    assert start_app.refused(toml, *flags) == (status, f"prefork: error: {line.format(folder=folder)}")


def test_a_check_imports_the_application_and_leaves_nothing(start_app: Start) -> None:
    start_app.files = {"shop.py": app("open('pid', 'w').write(str(os.getpid()))")}
    hello = start_app(SHOP)
    before = (hello.folder / "pid").read_text()
    checked = run(hello, "--check-config", command=RUN)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "hello.toml: ok\n", "")
    after = (hello.folder / "pid").read_text()
    assert after != before
    assert not Path(f"/proc/{after}").exists()


def test_a_daemon_that_can_not_import_its_application_says_so_to_the_shell(start_app: Start) -> None:
    start_app.files = {"shop.py": "1 / 0"}
    toml = f'{SHOP}\npid_file = "hello.pid"\nlog = "hello.log"'
    status, line = start_app.refused(toml, "--daemon")
    assert (status, line) == (65, "prefork: error: shop:answer: ZeroDivisionError: division by zero (shop.py:1)")


def test_a_factory_is_called_in_each_worker(start_app: Start) -> None:
    start_app.files = {"shop.py": f"{APP}\ndef make():\n    global BODY\n    BODY = os.getpid()\n    return answer\n"}
    hello = start_app('app = "shop:make()"\nworkers = 2')
    seen = {int(hello.connect().ask().body) for _ in range(50)}
    assert seen == hello.worker_pids()


def test_the_application_can_tell_by_its_variables_that_it_is_no_server_for_development(start_app: Start) -> None:
    start_app.files = {"shop.py": f"{APP}\nBODY = os.environ['SERVER_SOFTWARE'].partition('/')[0]\n"}
    assert start_app(SHOP).get().text == "prefork"


def test_the_application_has_its_folder_its_modules_and_its_variables(start_app: Start) -> None:
    start_app.files = {
        "site/shop.py": f"{APP}\nimport library\nBODY = [os.getcwd(), library.NAME, os.environ['A'], os.environ['B']]\n",
        "lib/library.py": "NAME = 'library'",
        "env": "A='from the file'\nB='from the file'\n",
    }
    toml = f'{SHOP}\nchdir = "site"\npythonpath = ["../lib"]\nenv_file = "env"\nlog = "hello.log"'
    hello = start_app(toml, environ={"B": "from the environment"}, log_file="hello.log")
    expected = [f"{hello.folder}/site", "library", "from the file", "from the environment"]
    assert hello.get().text == str(expected)
    (hello.folder / "env").write_text("A='changed'\n")
    hello.hang_up(" reloaded generation=2")
    assert hello.get().text == str([*expected[:2], "changed", "from the environment"])
    assert (hello.folder / "hello.log").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run workers as somebody else")
def test_the_application_is_imported_by_the_workers_user_and_its_variables_are_read_by_root(
    start_app: Start, open_folder: Path
) -> None:
    (open_folder / "shop.py").write_text(app("f'{os.getuid()} {os.environ[\"SECRET\"]}'"))
    secret = start_app.folder / "env"
    secret.touch(mode=0o600)
    secret.write_text("SECRET=1234")
    hello = start_app(f'{SHOP}\nuser = "nobody"\nenv_file = "{secret}"\nchdir = "{open_folder}"')
    assert hello.get().text == f"{NOBODY.pw_uid} 1234"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run workers as somebody else")
def test_an_application_that_the_workers_user_may_not_read_is_told_as_that(start_app: Start) -> None:
    start_app.folder.chmod(0o700)
    start_app.files = {"shop.py": app("1")}
    status, line = start_app.refused(f'{SHOP}\nuser = "nobody"')
    assert status == 77
    folder = start_app.folder / "service-1"
    hint = f"{folder} can't be read by the user {NOBODY.pw_uid}; change its owner or mode, or chdir"
    assert line == f"prefork: error: shop:answer: {hint}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run workers as somebody else")
def test_a_package_that_the_workers_user_may_not_look_into_is_told_to_have_no_application(
    start_app: Start, open_folder: Path
) -> None:
    (open_folder / "shop").mkdir(mode=0o711)
    (open_folder / "shop" / "__init__.py").touch()
    status, line = start_app.refused(f'{SHOP}\nuser = "nobody"\nchdir = "{open_folder}"')
    assert (status, line) == (65, "prefork: error: shop:answer: shop has no answer")


def test_hooks_are_called_in_their_order(start_app: Start) -> None:
    start_app.files = {
        "shop.py": f"import atexit\natexit.register(print, 'at exit')\nprint('imported', flush=True)\n{app('1')}",
        "hooks.py": "\n".join(
            f"def {name}(worker):\n    worker.log.info({name!r}, slot=worker.slot, generation=worker.generation)\n"
            for name in ("post_fork", "post_worker_init", "pre_stop", "worker_exit", "on_starting")
        ),
    }
    hello = start_app('app = "shop:answer"\nworkers = 1\nhooks = "hooks"')
    assert hello.stop() == 0
    seen = re.findall(
        r"(imported|at exit)$|\] (post_fork|post_worker_init|worker ready|pre_stop|worker_exit|on_starting) ?(.*)",
        hello.log,
        re.MULTILINE,
    )
    assert [("".join(each[:2]), each[2]) for each in seen if each[1] != "worker ready"] == [
        ("post_fork", "slot=0 generation=1"),
        ("imported", ""),
        ("post_worker_init", "slot=0 generation=1"),
        ("pre_stop", "slot=0 generation=1"),
        ("worker_exit", "slot=0 generation=1"),
        ("at exit", ""),
    ]


def test_what_fails_at_exit_is_told_and_the_others_are_called(start_app: Start) -> None:
    start_app.files = {
        "shop.py": f"import atexit\natexit.register(print, 'at exit')\natexit.register(lambda: 1 / 0)\n{app('1')}"
    }
    hello = start_app('app = "shop:answer"\nworkers = 1')
    assert hello.stop() == 0
    assert 'atexit failed reason="ZeroDivisionError: division by zero (shop.py:3)"' in hello.log
    assert re.search("^at exit$", hello.log, re.MULTILINE)
    assert re.search('worker exited slot=0 .* reason="exit status 0"', hello.log)


def test_a_hook_that_fails_before_the_worker_is_ready_ends_the_start(start_app: Start) -> None:
    start_app.files = {"shop.py": app("1"), "hooks.py": "def post_fork(worker):\n    raise OSError('no database')\n"}
    status, line = start_app.refused(f'{SHOP}\nhooks = "hooks"')
    assert (status, line) == (65, "prefork: error: hooks.post_fork: OSError: no database (hooks.py:2)")


def test_a_hook_that_fails_at_the_end_is_logged_and_the_worker_ends_well(start_app: Start) -> None:
    start_app.files = {"shop.py": app("1"), "hooks.py": "def worker_exit(worker):\n    raise OSError('no database')\n"}
    hello = start_app('app = "shop:answer"\nworkers = 1\nhooks = "hooks"')
    assert hello.stop() == 0
    assert 'hook failed hook=hooks.worker_exit reason="OSError: no database (hooks.py:2)"' in hello.log
    assert "worker exited slot=0 " in hello.log
    assert 'reason="exit status 0"' in hello.log


def test_an_upgrade_goes_on_with_the_same_application(start_app: Start, installed: Installation) -> None:
    start_app.files = {"shop.py": app("'old'")}
    hello = start_app(SHOP, *CONTROL, environ=installed.environ)
    idle = hello.connect()
    assert idle.ask().body == b"old"
    installed.replace()
    hello.edit(app("'new'"))
    assert command(hello, "upgrade") == (0, f"upgraded to {NEXT}: generation 2, 2 workers ready\n")
    assert idle.ask().body == b"new"


def test_an_upgrade_is_not_tried_with_an_application_that_is_broken(start_app: Start, installed: Installation) -> None:
    start_app.files = {"shop.py": app("'old'")}
    hello = start_app(SHOP, *CONTROL, environ=installed.environ)
    pids = hello.worker_pids()
    installed.replace()
    hello.edit("1 / 0")
    code, printed = command(hello, "upgrade")
    assert code == 1
    assert printed.startswith("prefork: error: upgrade failed, generation 1 goes on: shop:answer: ZeroDivisionError")
    assert (hello.worker_pids(), hello.get().text) == (pids, "old")


def test_a_worker_that_is_replaced_while_the_code_is_broken_is_tried_again_until_it_is_fixed(start_app: Start) -> None:
    start_app.files = {"shop.py": app("'old'")}
    hello = start_app(SHOP)
    victim = min(hello.worker_pids())
    hello.edit("1 / 0")
    os.kill(victim, 9)
    hello.wait_for_log("worker failed slot=", hello.wait_for_log("can't get ready "))
    assert hello.is_running
    hello.edit(app("'fixed'"))
    hello.wait_for_workers(2, without={victim})
    until(lambda: hello.log.count("worker ready ") == 3, "the third readiness")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("shop.py", f"import atexit, time\n{app('1')}def wait():\n    time.sleep(3600)\natexit.register(wait)\n"),
        ("hooks.py", "import time\ndef worker_exit(worker):\n    time.sleep(3600)\n"),
    ],
)
def test_a_worker_that_hangs_at_its_very_end_says_where_and_is_killed_without_a_connection(
    start_app: Start, name: str, text: str
) -> None:
    start_app.files = {"shop.py": app("1"), "hooks.py": "def pre_stop(worker): pass\n", name: text}
    hello = start_app('app = "shop:answer"\nworkers = 1\nhooks = "hooks"\ngraceful_timeout = "500ms"')
    client = hello.connect()
    assert client.ask().status == 200
    (pid,) = hello.worker_pids()
    hello.signal(SIGHUP)
    end = hello.wait_for_log(f'worker exited slot=0 pid={pid} generation=1 reason="killed by SIGKILL"')
    assert re.search(rf'stack pid={pid} line=".*{name}\\", line \d+ in ', hello.log[:end])
    assert client.ask().status == 200
    hello.stop(SIGQUIT)


def test_an_application_that_never_loads_is_killed_at_boot_timeout_and_says_where_it_was(start_app: Start) -> None:
    start_app.files = {"shop.py": "import time\ntime.sleep(3600)"}
    toml = f"{SHOP}\nmax_spawn_failures = 1\nboot_timeout = "
    hello = start_app.launch(f"{toml}3")
    assert hello.wait_for_exit() == 70
    assert hello.log.endswith("prefork: error: gave up: 1 workers in a row failed: boot_timeout passed\n")
    assert re.search(rf'stack pid=\d+ line="  File \\"{hello.folder}/shop.py\\", line 2 in <module>"', hello.log)
    assert start_app.refused(f"{toml}1", "--check-config") == (
        65,
        "prefork: error: the application was not loaded within boot_timeout",
    )


def test_the_service_is_called_as_the_application_and_commanded_without_its_name(start_app: Start) -> None:
    start_app.files = {"shop/wsgi.py": app("1")}
    environ = {"XDG_RUNTIME_DIR": str(start_app.folder / "service-1"), "PREFORK_CONTROL": "auto"}
    hello = start_app('app = "shop.wsgi:answer"\nworkers = 1', environ=environ, under=AS_NOBODY)
    assert proc.title(hello.master_pid) == "prefork-shop: master [hello.toml]"
    assert (hello.folder / "prefork-shop.sock").is_socket()
    told = subprocess.run(
        [*AS_NOBODY, PREFORK, "reload"], env=environment(environ), capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stdout) == (0, "reloaded: generation 2, 1 worker ready\n")


def test_changes_are_noticed_and_the_watcher_never_outlives_the_master(start_app: Start) -> None:
    start_app.files = {"site/shop.py": app("'old'"), "site/notes.txt": ""}
    hello = start_app(f'{SHOP}\nchdir = "site"\nreload = true')
    seen = hello.wait_for_log("watching folders=site\n")
    hello.edit("no code", "site/notes.txt")
    hello.edit(app("'new'"), "site/shop.py")
    seen = hello.wait_for_log(" reloaded generation=2", hello.wait_for_log("changed path=site/shop.py", seen))
    assert hello.get().text == "new"
    hello.edit("def answer(:\n", "site/shop.py")
    seen = hello.wait_for_log('reload failed generation=3 kept=2 reason="shop:answer: SyntaxError', seen)
    assert hello.get().text == "new"
    hello.edit(app("'fixed'"), "site/shop.py")
    hello.wait_for_log(" reloaded generation=4", seen)
    assert hello.get().text == "fixed"
    hello.expected_to_run = False
    hello.signal(SIGKILL)
    hello.wait_until_gone()


def test_a_watcher_that_ends_is_told_and_the_service_goes_on(start_app: Start) -> None:
    start_app.files = {"shop.py": app("1")}
    hello = start_app(f"{SHOP}\nreload = true")
    hello.wait_for_log("watching folders=.")
    (watcher,) = [pid for pid in hello.session_pids() if "prefork.development.watcher" in proc.title(pid)]
    os.kill(watcher, SIGKILL)
    hello.wait_for_log("the watcher has ended; changes are no longer noticed")
    assert hello.get().text == "1"


def test_after_an_upgrade_one_watcher_goes_on(start_app: Start, installed: Installation) -> None:
    start_app.files = {"shop.py": app("'old'")}
    hello = start_app(f"{SHOP}\nreload = true", *CONTROL, environ=installed.environ)
    hello.wait_for_log("watching folders=.")
    installed.replace()
    assert command(hello, "upgrade") == (0, f"upgraded to {NEXT}: generation 2, 2 workers ready\n")
    hello.wait_for_log("watching folders=.", hello.log.index(" upgrading "))
    until(
        lambda: sum("prefork.development.watcher" in proc.title(pid) for pid in hello.session_pids()) == 1,
        "one watcher",
    )
    hello.edit(app("'newer'"))
    hello.wait_for_log(" reloaded generation=3")
    assert hello.log.count("changed path=shop.py") == 1


def test_check_config_imports_the_application_where_the_caller_ignores_the_ends_of_children(start_app: Start) -> None:
    start_app.files = {"shop.py": app("1")}
    checked = run(start_app(SHOP), "--check-config", command=RUN, under=CHILDREN_IGNORED)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("flags", [(), ("--check-config",)])
def test_reload_without_its_package_says_what_to_install(start_app: Start, flags: tuple[str, ...]) -> None:
    start_app.files = {
        "shop.py": app("1"),
        "without/sitecustomize.py": "import sys\nsys.modules['watchfiles'] = None\n",
    }
    environ = {"PYTHONPATH": str(start_app.folder / "service-1" / "without")}
    status, line = start_app.refused(f"{SHOP}\nreload = true", *flags, environ=environ)
    assert status == 78
    assert line == "prefork: error: reload: the package watchfiles is needed; pip install 'prefork[reload]'"


def test_a_folder_to_watch_has_to_be_there(start_app: Start) -> None:
    start_app.files = {"shop.py": app("1")}
    status, line = start_app.refused(f'{SHOP}\nreload = true\nreload_dir = ["lib"]')
    assert (status, line) == (66, "prefork: error: reload_dir: lib: no such folder")


@pytest.mark.parametrize("preload", ["off", "mold"])
def test_what_the_application_prints_is_there_at_once(start_app: Start, preload: str) -> None:
    text = app("'there'").replace("    start_response", "    print('asked', environ['PATH_INFO'])\n    start_response")
    start_app.files = {"shop.py": f"{text}\nprint('imported')\n"}
    hello = start_app(f'app = "shop:answer"\nworkers = 1\npreload = "{preload}"', environ={"PYTHONUNBUFFERED": ""})
    hello.get("/tea")
    hello.wait_for_log("\nasked /tea\n")
    assert hello.log.count("imported\n") == 1
