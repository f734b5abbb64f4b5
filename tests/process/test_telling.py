"""What it tells people: titles, log lines, the access log."""

import re
from pathlib import Path

from prefork.version import VERSION
from tests.process import proc
from tests.process.clients import GET
from tests.process.starting import Start
from tests.process.waiting import until

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"
COMBINED = r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "%s" %s "%s" "%s"'
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


def test_titles_say_what_each_process_is(start: Start) -> None:
    hello = start("workers = 2")
    assert proc.title(hello.master_pid) == "prefork-hello: master [hello.toml]"
    titles = sorted(proc.title(pid) for pid in hello.worker_pids())
    assert titles == ["prefork-hello: worker 0 [generation 1]", "prefork-hello: worker 1 [generation 1]"]


def test_the_first_lines_say_version_addresses_and_readiness(start: Start) -> None:
    hello = start("workers = 2\nbacklog = 1")
    lines = [line for line in hello.log.splitlines() if " warning " not in line]
    master = f"{STAMP} info master\\[{hello.master_pid}\\] "
    assert re.fullmatch(rf"{master}starting version={VERSION} python=3\.\d+\.\d+\S* config=hello\.toml", lines[0])
    assert re.fullmatch(rf"{master}listening address=127\.0\.0\.1:\d+ accept=reuseport backlog=1", lines[1])
    assert {line.partition("] ")[2].partition(" pid=")[0] for line in lines[2:4]} == {
        "worker ready slot=0",
        "worker ready slot=1",
    }
    assert re.fullmatch(rf"{master}ready workers=2 seconds=\d+\.\d+", lines[4])


def test_a_backlog_that_the_kernel_cuts_is_a_warning(start: Start) -> None:
    cap = int(SOMAXCONN.read_text())
    hello = start(f"workers = 1\nbacklog = {cap + 1}")
    assert f"backlog {cap + 1} is cut to {cap} by the kernel" in hello.log
    assert "is cut to" not in start(f"workers = 1\nbacklog = {cap}").log


def test_requests_are_not_logged_unless_that_is_asked_for(start: Start) -> None:
    hello = start("workers = 1")
    assert hello.get("/secret").status_code == 200
    assert hello.stop() == 0
    assert "/secret" not in hello.log


def test_the_access_log_has_a_line_in_the_combined_format_for_each_request(start: Start) -> None:
    hello = start('workers = 1\naccess_log = "access.log"')
    client = hello.connect()
    client.ask(b'GET /a?b HTTP/1.1\r\nHost: a\r\nReferer: http://b/\r\nUser-Agent: c "d"\r\n\r\n')
    client.send(b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    client.answer(to_head=True)
    client.ask(b"GET \x1b[31m HTTP/1.1\r\n\r\n")
    hello.leave()
    assert hello.stop() == 0
    get, head, refused = (hello.folder / "access.log").read_text().splitlines()
    assert re.fullmatch(COMBINED % (r"GET /a\?b HTTP/1\.1", "200 13", "http://b/", r'c \\"d\\"'), get)
    assert re.fullmatch(COMBINED % (r"HEAD / HTTP/1\.0", "200 -", "-", "-"), head)
    assert re.fullmatch(COMBINED % (r"GET \\x1b\[31m HTTP/1\.1", r"400 \d+", "-", "-"), refused)


def test_the_access_log_can_go_to_standard_output(start: Start) -> None:
    hello = start("workers = 1", "--access-log", "-")
    hello.get("/x")
    hello.wait_for_log('"GET /x HTTP/1.1" 200 13 "-" "python-requests/')


def test_the_access_log_misses_nothing_of_a_pipelined_batch(start: Start) -> None:
    hello = start('workers = 1\naccess_log = "access.log"')
    client = hello.connect()
    client.send(GET * 500)
    assert all(client.answer().status == 200 for _ in range(500))
    until(lambda: len((hello.folder / "access.log").read_text().splitlines()) == 500, "500 lines")


def test_log_level_debug_prints_the_head_of_each_request(start: Start) -> None:
    hello = start('workers = 1\nlog_level = "debug"')
    hello.connect().ask(b"GET /debug HTTP/1.1\r\nHost: here\r\nName: \x1b[31m\r\n\r\n")
    hello.wait_for_log("GET /debug HTTP/1.1\nHost: here\n")
    assert "\x1b" not in hello.log


def test_log_level_error_is_silent_while_all_is_well(start: Start) -> None:
    hello = start.launch('workers = 1\nlog_level = "error"', bind=["unix:hello.sock"])
    until((hello.folder / "hello.sock").exists, "the socket")
    assert hello.connect("unix:hello.sock").ask().status == 200
    hello.leave()
    assert hello.stop() == 0
    assert hello.log == ""


def test_web_concurrency_sets_the_number_of_workers(start: Start) -> None:
    hello = start(environ={"WEB_CONCURRENCY": "3"})
    assert "ready workers=3 " in hello.log
    assert len(hello.worker_pids()) == 3


def test_a_flag_has_precedence_over_a_variable_and_that_over_the_file(start: Start) -> None:
    assert len(start("workers = 1", environ={"PREFORK_WORKERS": "2"}).worker_pids()) == 2
    assert len(start("workers = 1", "--workers", "3", environ={"PREFORK_WORKERS": "2"}).worker_pids()) == 3
