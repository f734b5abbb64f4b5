"""`prefork run --reload`: what somebody who works on an application sees of its mistakes."""

import os
import re
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH, Signals
from textwrap import indent

import pytest

from tests.process import proc
from tests.process.hello import Hello
from tests.process.installing import HELD, Installation
from tests.process.starting import Start
from tests.process.waiting import until

FAILING = """
def answer(environ, start_response):
    if environ["PATH_INFO"] == "/later":
        start_response("200 OK", [])
        return fail("later")
    if environ["PATH_INFO"] == "/silent":
        return []
    raise KeyError("secret")

def fail(why):
    raise KeyError(why)
    yield b""
"""
SLOW_TO_NOTICE = f"""
quick_on_exit = Master._on_exit
def on_exit(self, key, end):
    if "SIGKILL" in end.reason:
{indent(HELD, "        ")}
    quick_on_exit(self, key, end)
Master._on_exit = on_exit
"""
SLOW_TO_FAIL = f"open('begun', 'w').close()\n{HELD}1 / 0\n"
SHOP = 'app = "shop:answer"\nworkers = 1'


@pytest.mark.parametrize("toml", ["", "threads = 2", 'preload = "mold"'])
def test_with_the_flag_reload_a_failure_is_shown_to_the_client(start_app: Start, toml: str) -> None:
    start_app.files = {"shop.py": FAILING}
    hello = start_app(f"{SHOP}\n{toml}", "--reload")
    failed = hello.get()
    assert (failed.status_code, failed.headers["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert failed.text.startswith("The application failed: KeyError: 'secret' (shop.py:8)\n\n  File ")
    assert 'raise KeyError("secret")' in failed.text
    assert "in respond" not in failed.text
    assert "KeyError: 'later' (shop.py:11)" in hello.get("/later").text
    assert "the application did not call start_response (PEP 3333)" in hello.get("/silent").text


def test_a_failure_is_shown_in_frames_that_are_right_and_to_head_without_content(start_app: Start) -> None:
    start_app.files = {"shop.py": FAILING}
    hello = start_app(SHOP, "--reload")
    client = hello.connect()
    for path in "/", "/later":
        shown = client.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert (shown.status, shown.fields["content-length"]) == (500, str(len(shown.body)))
        client.send(f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert client.answer(to_head=True).status == 500


@pytest.mark.parametrize(
    ("toml", "flags", "environ"),
    [
        ("", (), {}),
        ("reload = true", (), {}),
        ("", (), {"PREFORK_RELOAD": "true"}),
        ("reload = true", ("--no-reload",), {}),
    ],
)
def test_without_the_flag_reload_a_client_is_told_nothing(
    start_app: Start, toml: str, flags: tuple[str, ...], environ: dict[str, str]
) -> None:
    start_app.files = {"shop.py": FAILING}
    hello = start_app(f"{SHOP}\n{toml}", *flags, environ=environ)
    for path in "/", "/later", "/silent":
        failed = hello.get(path)
        assert (failed.status_code, failed.text) == (500, "The application failed.\n")
    hello.reload(f"{SHOP}\nreload = true")
    assert hello.get().text == "The application failed.\n"


def answering(text: str) -> str:
    return f"def answer(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{text}']\n"


WAITING = "can't start; waiting for a change reason="


def wait_until_it_waits(hello: Hello, reason: str = "") -> int:
    """Wait until it waits for a change and would notice one, in whichever order; return where the log tells that."""
    seen = hello.wait_for_log(f"{WAITING}{reason}")
    hello.wait_for_log("watching folders=.")
    return seen


@pytest.mark.parametrize("toml", ["", 'preload = "mold"'])
def test_a_first_start_that_fails_waits_for_a_change_and_then_serves(start_app: Start, toml: str) -> None:
    start_app.files = {"shop.py": "def answer(:\n"}
    hello = start_app.launch(f'{SHOP}\npid_file = "pid"\n{toml}', "--reload")
    seen = wait_until_it_waits(hello, '"shop:answer: SyntaxError: invalid syntax (shop.py:1)"')
    assert not (hello.folder / "pid").exists()
    hello.edit("import missing\n")
    seen = hello.wait_for_log(f"{WAITING}\"shop:answer: ModuleNotFoundError: No module named 'missing'", seen)
    hello.edit(answering("mended"))
    hello.wait_for_log(" ready workers=1 ", seen)
    hello.addresses = re.findall(r" listening address=(\S+)", hello.log)[-1:]
    assert hello.get().text == "mended"
    assert (hello.folder / "pid").read_text() == f"{hello.master_pid}\n"
    seen = hello.wait_for_log("generation=1")
    hello.edit(answering("newer"))
    hello.wait_for_log(" reloaded generation=2", seen)
    assert hello.get().text == "newer"


def test_who_starts_it_with_a_log_elsewhere_is_told_what_it_waits_for_until_it_is_ready(start_app: Start) -> None:
    start_app.files = {"shop.py": "1 / 0\n"}
    hello = start_app.launch(SHOP, "--reload", "--log", "log", log_file="log")
    seen = wait_until_it_waits(hello)
    hello.edit("import missing\n")
    seen = hello.wait_for_log(WAITING, seen)
    hello.edit(answering("mended"))
    hello.wait_for_log(" ready workers=1 ", seen)
    assert (hello.folder / "output").read_text().splitlines() == [
        "prefork: error: shop:answer: ZeroDivisionError: division by zero (shop.py:1); waiting for a change",
        "prefork: error: shop:answer: ModuleNotFoundError: No module named 'missing' (shop.py:1); waiting for a change",
    ]


def test_a_configuration_that_is_broken_meanwhile_is_waited_for_too(start_app: Start) -> None:
    start_app.files = {"shop.py": answering("served")}
    hello = start_app.launch('app = "shop:anser"', "--reload")
    seen = wait_until_it_waits(hello, '"shop:anser: shop has no anser, did you mean answer?"')
    hello.rewrite('app = "shop:answer"\nworkers = "many"')
    seen = hello.wait_for_log(f'{WAITING}"hello.toml:3: workers: expected ', seen)
    hello.rewrite(SHOP)
    hello.wait_for_log(" ready workers=1 ", seen)


@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGQUIT])
def test_a_signal_ends_the_wait_and_nothing_is_left_over(start_app: Start, number: Signals) -> None:
    start_app.files = {"shop.py": "1 / 0\n"}
    hello = start_app.launch(SHOP, "--reload")
    wait_until_it_waits(hello)
    assert hello.stop(number) == 0
    assert hello.session_pids() == []


@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGQUIT])
def test_a_signal_while_a_start_that_has_failed_is_ending_ends_the_wait_for_another(
    start_app: Start, installed: Installation, number: Signals
) -> None:
    installed.replace(master_master=SLOW_TO_NOTICE)
    start_app.files = {"shop.py": "1 / 0\n"}
    hello = start_app.launch(SHOP.replace("1", "2"), "--reload", environ=installed.environ)
    hello.wait_for_log("killing worker")
    hello.signal(number)
    (hello.folder / "go").touch()
    assert hello.wait_for_exit() == 0


def test_signals_are_for_the_master_and_do_nothing_to_the_watcher_that_ends_with_it(start_app: Start) -> None:
    start_app.files = {"shop.py": answering("old")}
    hello = start_app(SHOP, "--reload")
    hello.wait_for_log("watching folders=.")
    (watcher,) = [pid for pid in hello.session_pids() if "prefork.development.watcher" in proc.title(pid)]
    for number in (SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH):
        os.kill(watcher, number)
    hello.edit(answering("new"))
    hello.wait_for_log(" reloaded generation=2")
    assert os.getpgid(watcher) != os.getpgid(hello.master_pid)  # else a terminal would interrupt it too
    assert hello.stop(SIGINT) == 0


def test_hup_tries_again_what_no_file_of_the_folder_mends(start_app: Start) -> None:
    start_app.files = {"shop.py": "from pathlib import Path\nPath('there').read_text()\n" + answering("served")}
    hello = start_app.launch(SHOP, "--reload")
    seen = wait_until_it_waits(hello)
    (hello.folder / "there").touch()
    hello.signal(SIGHUP)
    hello.wait_for_log(" ready workers=1 ", seen)


def test_what_is_mended_while_it_fails_to_start_is_not_waited_for(start_app: Start) -> None:
    start_app.files = {"shop.py": SLOW_TO_FAIL}
    hello = start_app.launch(SHOP, "--reload")
    seen = hello.wait_for_log("watching folders=.")
    until((hello.folder / "begun").exists, "it to be read")
    hello.edit(answering("mended"))
    hello.wait_for_log("changed path=shop.py", seen)
    (hello.folder / "go").touch()
    hello.wait_for_log(" ready workers=1 ", hello.wait_for_log("division by zero", seen))


@pytest.mark.parametrize("toml", ["", 'preload = "mold"'])
def test_starts_that_fail_leave_no_descriptors_behind(start_app: Start, toml: str) -> None:
    start_app.files = {"shop.py": answering("x"), "hooks.py": "def post_fork(worker): 1 / 0\n"}
    hello = start_app.launch(f'{SHOP}\naccess_log = "access"\nhooks = "hooks"\n{toml}', "--reload")
    seen = wait_until_it_waits(hello)
    until(lambda: sum("socket:" in each for each in proc.descriptors(hello.master_pid).values()) == 2, "its poller")
    before = len(proc.descriptors(hello.master_pid))
    for _ in range(4):
        hello.signal(SIGHUP)
        seen = hello.wait_for_log(WAITING, seen)
        until(lambda: len(proc.descriptors(hello.master_pid)) == before, "the descriptors of who waits for a change")


def test_without_reload_a_first_start_that_fails_ends(start_app: Start) -> None:
    start_app.files = {"shop.py": "1 / 0\n"}
    assert start_app.refused(SHOP) == (
        65,
        "prefork: error: shop:answer: ZeroDivisionError: division by zero (shop.py:1)",
    )


def test_a_daemon_that_cannot_start_ends_with_reload_too(start_app: Start) -> None:
    start_app.files = {"shop.py": "1 / 0\n"}
    status, line = start_app.refused(SHOP, "--reload", "--daemon", "--log", "log")
    assert (status, line) == (65, "prefork: error: shop:answer: ZeroDivisionError: division by zero (shop.py:1)")
