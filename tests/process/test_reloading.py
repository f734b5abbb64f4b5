"""HUP: another configuration holds, and no request is lost on the way; or it doesn't, and the old service goes on."""

import re
import socket
import time
from signal import SIGHUP, SIGTERM

import pytest

from tests.process import proc, tcp
from tests.process.clients import Load
from tests.process.commands import CONTROL, status
from tests.process.hello import ANY_PORT, Hello
from tests.process.starting import Start
from tests.process.test_stopped_processes import stopped
from tests.process.waiting import until

OLD, NEW = (200, b"old"), (200, b"new")


def configuration(body: str, more: str = "workers = 2") -> str:
    return f'{more}\n[hello]\nbody = "{body}"'


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_a_reload_under_load_changes_the_answer_and_loses_no_request(start: Start, accept: str) -> None:
    more = f'workers = 2\naccept = "{accept}"'
    hello = start(configuration("old", more))
    with Load(hello.connect) as load:
        load.wait_for_more()
        hello.reload(configuration("new", more))
        hello.wait_for_workers(2, without=hello.descriptors)
        load.wait_for_more()
    assert load.lost == []
    assert set(load.answers) == {OLD, NEW}
    assert hello.get().content == b"new"


def test_ten_reloads_under_load_lose_no_request(start: Start) -> None:
    hello = start(configuration("0"))
    with Load(hello.connect) as load:
        for number in range(1, 11):
            hello.reload(configuration(str(number)))
            load.wait_for_more(20)
    assert load.lost == []
    assert hello.get().content == b"10"


def test_a_reload_changes_the_way_of_accepting_without_loss(start: Start) -> None:
    hello = start('workers = 2\naccept = "reuseport"')
    with Load(hello.connect) as load:
        for accept in ("shared", "reuseport"):
            hello.reload(f'workers = 2\naccept = "{accept}"')
            load.wait_for_more()
    assert load.lost == []


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3)])
def test_a_reload_changes_the_number_of_workers_without_loss(start: Start, before: int, after: int) -> None:
    hello = start(f"workers = {before}")
    with Load(hello.connect) as load:
        hello.reload(f"workers = {after}")
        hello.wait_for_workers(after, without=hello.descriptors)
        load.wait_for_more()
    assert load.lost == []


def test_a_connection_that_was_idle_during_a_reload_is_still_answered(start: Start) -> None:
    hello = start(configuration("old"))
    client = hello.connect()
    assert client.ask().body == b"old"
    hello.reload(configuration("new"))
    assert client.ask().body == b"new"


@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_once_a_reload_is_told_nothing_is_answered_as_before_it(start: Start, accept: str) -> None:
    more = f'workers = 2\naccept = "{accept}"'
    hello = start(configuration("0", more))
    idle = [hello.connect() for _ in range(20)]
    for number in range(1, 11):
        hello.reload(configuration(str(number), more))
        answers = [client.ask().body for client in idle] + [hello.connect().ask().body for _ in range(20)]
        assert set(answers) == {str(number).encode()}


def test_a_reload_is_told_when_each_old_worker_has_read_that_it_is_to_leave(start: Start) -> None:
    hello = start(configuration("old", "workers = 1"), *CONTROL)
    idle = hello.connect()
    assert idle.ask().body == b"old"
    (old,) = hello.worker_pids()
    with stopped(old):
        hello.rewrite(configuration("new", "workers = 1"))
        hello.signal(SIGHUP)
        hello.wait_for_log("worker ready slot=0", hello.wait_for_log("reloading generation=2"))
        status(hello)  # by then the master has done what follows from it
        assert " reloaded " not in hello.log
    hello.wait_for_log(" reloaded generation=2 ")
    assert idle.ask().body == hello.get().content == b"new"


def test_an_old_worker_that_never_reads_that_it_is_to_leave_does_not_keep_a_reload_from_its_end(start: Start) -> None:
    hello = start(configuration("old", "workers = 1"))
    with stopped(*hello.worker_pids()):
        hello.reload(configuration("new", "workers = 1"))


BROKEN = [
    ("workers = = 2", r"hello\.toml:2: not valid TOML: .*"),
    ('workers = "many"', r"hello\.toml:2: workers: expected .*"),
    ("workers = 2\nwrokers = 3", r'hello\.toml:3: wrokers: unknown key, did you mean \\"workers\\"\?'),
]


@pytest.mark.parametrize(("toml", "reason"), BROKEN, ids=["not TOML", "not a value", "not a key"])
def test_a_reload_with_a_broken_configuration_keeps_the_old_service(start: Start, toml: str, reason: str) -> None:
    hello = start(configuration("old"))
    hello.rewrite(toml)
    with Load(hello.connect) as load:
        hello.signal(SIGHUP)
        hello.wait_for_log("reload failed generation=2 kept=1")
        load.wait_for_more()
    assert (load.lost, set(load.answers)) == ([], {OLD})
    (line,) = errors(hello)
    assert re.search(rf'reload failed generation=2 kept=1 reason="{reason}"$', line), line
    assert hello.worker_pids() == set(hello.descriptors)


def test_a_reload_with_an_address_that_is_taken_keeps_the_old_service(start: Start) -> None:
    hello = start(configuration("old"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = "127.0.0.1:{1}".format(*other.getsockname())
        hello.rewrite(configuration("new"), bind=(*ANY_PORT, taken))
        hello.signal(SIGHUP)
        hello.wait_for_log("reload failed generation=2 kept=1")
    (line,) = errors(hello)
    assert f"{taken}: address in use" in line
    assert hello.get().content == b"old"
    assert len(tcp.listening(hello.master_pid)) == 2


def test_a_reload_that_fails_after_it_was_to_log_elsewhere_logs_where_it_did(start: Start) -> None:
    hello = start('workers = 1\nlog = "old.log"', log_file="old.log")
    hello.rewrite('workers = 1\nlog = "new.log"\naccess_log = "access.log"\ntls_cert = "none.pem"')
    before = proc.descriptors(hello.master_pid)
    hello.signal(SIGHUP)
    hello.wait_for_log("reload failed generation=2 kept=1 reason=\"tls_cert: none.pem: can't be read")
    assert proc.descriptors(hello.master_pid) == before


def test_after_a_failed_reload_the_next_good_one_holds(start: Start) -> None:
    hello = start(configuration("old"))
    hello.rewrite("workers = 0")
    hello.signal(SIGHUP)
    hello.wait_for_log("reload failed")
    hello.reload(configuration("new"))
    assert hello.get().content == b"new"


def test_a_reload_adds_addresses_and_drops_others(start: Start) -> None:
    hello = start("workers = 2")
    port = hello.ports[0]
    second, third = f"127.0.0.5:{port}", f"127.0.0.6:{port}"  # addresses that nobody else here has ports of
    with Load(hello.connect) as load:
        hello.reload("workers = 2", bind=(*ANY_PORT, second, third))
        assert hello.connect(second).ask().status == hello.connect(third).ask().status == 200
        hello.reload("workers = 2", bind=(*ANY_PORT, third))
        until(lambda: hello.refuses(second), "the address that was dropped")
        assert hello.connect(third).ask().status == 200
        load.wait_for_more()
    assert load.lost == []


def test_fifty_reloads_at_once_end_in_the_last_and_lose_no_request(start: Start) -> None:
    hello = start(configuration("old"))
    master_before = len(proc.descriptors(hello.master_pid))
    hello.rewrite(configuration("new"))
    with Load(hello.connect) as load:
        load.wait_for_more()
        for _ in range(50):
            hello.signal(SIGHUP)
        until(lambda: last_reload_is_over(hello), "the last reload")
        load.wait_for_more()
    hello.wait_for_workers(2, without=hello.descriptors)
    assert load.lost == []
    assert hello.get().content == b"new"
    until(lambda: len(proc.descriptors(hello.master_pid)) == master_before, "the master's descriptors")


def test_reloads_while_it_starts_are_done_and_it_gets_ready(start: Start) -> None:
    hello = start.launch(configuration("old", "workers = 4"))
    hello.wait_for_log(" starting ")
    hello.rewrite(configuration("new", "workers = 4"))
    for _ in range(20):
        hello.signal(SIGHUP)
        time.sleep(0.001)  # spreads them over the start
    hello.wait_until_ready()
    until(lambda: last_reload_is_over(hello), "the last reload")
    assert hello.get().content == b"new"
    hello.wait_for_workers(4)


def test_term_during_a_reload_ends_it(start: Start) -> None:
    hello = start("workers = 4")
    hello.signal(SIGHUP)
    hello.wait_for_log("reloading generation=2")
    assert hello.stop(SIGTERM) == 0


def errors(hello: Hello) -> list[str]:
    return [line for line in hello.log.splitlines() if " error " in line]


def last_reload_is_over(hello: Hello) -> bool:
    begun = re.findall(r" reloading generation=(\d+)", hello.log)
    return bool(begun) and f" reloaded generation={begun[-1]} " in hello.log
