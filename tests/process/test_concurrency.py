"""Applications under clients of every kind, with one thread and with several: who waits for whom, and what it costs."""

import os
import re
import threading
from signal import SIGHUP, SIGTERM, SIGUSR2
from typing import Final

import pytest

from tests.process import proc
from tests.process.clients import Client, Load
from tests.process.commands import CONTROL, status
from tests.process.hello import Hello
from tests.process.starting import Start
from tests.process.test_access_log import LOGGED, logged
from tests.process.test_slow_readers import connect_slowly
from tests.process.test_wsgi import (
    MODES,
    SOURCE,
    TRUNCATED,
    answer,
    ask,
    closed,
    mode,
    noted,
    post,
    request,
    serve,
    until_cut,
)
from tests.process.waiting import until

__all__ = ["mode"]

MIB: Final = 1024 * 1024
MOST_GROWTH: Final = 8 * MIB
THREADS: Final = MODES[1]


def touch(hello: Hello, name: str) -> None:
    (hello.folder / name).touch()


def begun(hello: Hello, count: int) -> None:
    """Wait until so many calls have begun that wait for a file."""
    until(lambda: sum(line.startswith("begun") for line in noted(hello)) == count, f"{count} calls")


# Slow and leaving clients


def test_a_slow_client_of_a_large_answer_neither_grows_the_worker_nor_keeps_others_waiting(
    start_app: Start, mode: str
) -> None:
    hello = serve(start_app, mode)
    assert ask(hello, request("/large?1000")).status == 200
    (worker,) = hello.worker_pids()
    before = proc.resident_bytes(worker)
    slow = connect_slowly(hello)
    slow.send(request("/large?50000"))
    slow.take_some()
    for _ in range(100):
        assert ask(hello, request("/hello")).status == 200
    assert proc.resident_bytes(worker) - before < MOST_GROWTH
    assert "made 49000" not in noted(hello)
    slow.close()
    closed(hello, "large", 2)
    assert proc.resident_bytes(worker) - before < MOST_GROWTH


def test_a_large_answer_arrives_whole_at_a_client_that_reads_on(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    client = hello.connect()
    client.send(request("/large?50000"))
    assert len(answer(client).body) == 50_000_000
    closed(hello, "large")
    assert client.ask(request("/hello")).status == 200


@pytest.mark.parametrize("leave", [Client.reset, Client.close])
def test_who_leaves_in_the_middle_has_its_answer_closed(start_app: Start, mode: str, leave) -> None:  # type: ignore[no-untyped-def]  # either way
    hello = serve(start_app, mode)
    for number in range(1, 4):
        client = hello.connect()
        client.send(request("/large?50000"))
        client.take_some()
        leave(client)
        closed(hello, "large", number)
    assert sum(line == "made 49000" for line in noted(hello)) == 0


def test_slow_uploads_never_occupy_the_application(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    slow = [hello.connect() for _ in range(20)]
    sent = post("/echo", b"x" * 1000)
    for client in slow:
        client.send(sent[:-10])
    assert all(ask(hello, request("/hello")).status == 200 for _ in range(20))
    for client in slow:
        client.send(sent[-10:])
        assert answer(client).body == b"x" * 1000


def test_a_client_that_goes_while_its_request_waits_is_not_answered_and_the_application_goes_on(
    start_app: Start,
) -> None:
    hello = serve(start_app, "threads = 2\nmax_queued_requests = 5")
    waiting = [hello.connect() for _ in range(5)]
    for client in waiting:
        client.send(request("/waits?go"))
    begun(hello, 2)
    until(lambda: len(connections(hello)) == 5, "the others to be accepted")
    for client in waiting[2:]:
        client.reset()
    until(lambda: len(connections(hello)) <= 2, "the connections to be let go")
    touch(hello, "go")
    assert all(answer(client).body == b"waited" for client in waiting[:2])
    closed(hello, "waits", 2)
    assert ask(hello, request("/hello")).status == 200
    begun(hello, 2)


def connections(hello: Hello) -> list[str]:
    (worker,) = hello.worker_pids()
    paths = proc.descriptors(worker).values()
    masters = set(proc.descriptors(hello.master_pid).values())
    before = hello.descriptors[worker]
    return [each for each in paths if each not in masters][before:]


# Uploads


@pytest.mark.parametrize("size", [1000, 65_536, 65_537, 100_000_000])
def test_an_upload_is_kept_whole_in_memory_or_on_disk_until_the_application_reads_it(
    start_app: Start, mode: str, size: int
) -> None:
    hello = serve(start_app, f'{mode}\nlimit_body = "100M"')
    (worker,) = hello.worker_pids()
    before = proc.resident_bytes(worker)
    content = os.urandom(1000) * (size // 1000) + b"x" * (size % 1000)
    client = hello.connect()
    client.send(post("/count", content))
    told, total, kept = answer(client).body.decode().split()
    assert int(told) == size
    assert int(total) == sum(sum(content[at : at + 65536 : 4096]) for at in range(0, size, 65536))
    assert kept == ("BytesIO" if size <= 65_536 else "BufferedRandom")
    assert proc.resident_bytes(worker) - before < MOST_GROWTH
    client.close()
    hello.wait_until_closed()


@pytest.mark.parametrize("body", [b"x" * 1001, b"x" * 100_000])
def test_an_upload_beyond_the_limit_is_refused_before_it_is_sent(start_app: Start, mode: str, body: bytes) -> None:
    hello = serve(start_app, f'{mode}\nlimit_body = "1000"')
    client = hello.connect()
    client.send(request("/echo", f"Content-Length: {len(body)}", "Expect: 100-continue", method="POST"))
    assert answer(client).status == 413
    client = hello.connect()
    client.send(request("/echo", "Transfer-Encoding: chunked", method="POST") + b"%x\r\n" % len(body))
    assert answer(client).status == 413


def test_whoever_expects_100_is_told_to_go_on(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    client = hello.connect()
    client.send(request("/echo", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    assert client.answer(to_head=True).status == 100
    client.send(b"Hello")
    assert answer(client).body == b"Hello"


def test_an_upload_that_is_not_finished_leaves_nothing(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    client = hello.connect()
    client.send(request("/count", "Content-Length: 1000000", method="POST") + b"x" * 500_000)
    (worker,) = hello.worker_pids()
    until(lambda: any("(deleted)" in path for path in proc.descriptors(worker).values()), "a temporary file")
    client.close()
    hello.wait_until_closed()


def test_an_upload_that_a_reload_leaves_no_room_for_is_told_so_and_the_worker_goes_on(start_app: Start) -> None:
    start_app.files = {"application.py": SOURCE + "\nimport tempfile\ntempfile.tempdir = '/nonexistent'\n"}
    toml = 'app = "application:answer"\nworkers = 1\n'
    hello = start_app(toml)
    client = hello.connect()
    client.send(post("/count", b"x" * 20_000)[:-5])
    hello.reload(f"{toml}body_buffer = 1000")
    assert answer(client).status == 507
    assert ask(hello, request("/hello")).status == 200
    assert "worker failed" not in hello.log


def test_where_there_is_no_room_for_it_the_client_is_told_and_the_worker_goes_on(start_app: Start, mode: str) -> None:
    start_app.files = {"application.py": SOURCE + "\nimport tempfile\ntempfile.tempdir = '/nonexistent'\n"}
    hello = start_app(f'app = "application:answer"\nworkers = 1\n{mode}')
    client = hello.connect()
    client.send(post("/count", b"x" * 200_000))
    assert answer(client).status == 507
    assert ask(hello, request("/hello")).status == 200
    assert hello.worker_pids() == set(hello.descriptors)


# Threads


def test_as_many_requests_are_served_at_a_time_as_there_are_threads_and_others_are_read_meanwhile(
    start_app: Start,
) -> None:
    hello = serve(start_app, THREADS)
    waiting = [hello.connect() for _ in range(6)]
    for client in waiting:
        client.send(request("/waits?go"))
    begun(hello, 4)
    refused = hello.connect()
    refused.send(b"nonsense\r\n\r\n")
    assert refused.answer().status == 400  # by the loop, which waits for nobody
    touch(hello, "go")
    assert all(answer(client).body == b"waited" for client in waiting)
    closed(hello, "waits", 6)


def test_beyond_max_queued_requests_others_are_told_to_come_back(start_app: Start) -> None:
    hello = serve(start_app, "threads = 2\nmax_queued_requests = 3", *CONTROL)
    waiting = [hello.connect() for _ in range(5)]
    for client in waiting:
        client.send(request("/waits?go"))
    begun(hello, 2)
    until(lambda: ask(hello, request("/hello")).status == 503, "the queue to be full")
    found = ask(hello, request("/hello"))
    assert (found.fields["retry-after"], found.body) == ("1", b"too many requests wait for the application\n")
    touch(hello, "go")
    assert all(answer(client).body == b"waited" for client in waiting)
    assert ask(hello, request("/hello")).status == 200
    hello.wait_for_log('requests refused status=503 reason="too many requests wait for the application" count=')
    (told,) = until(lambda: status(hello)["refused"], "what was refused")
    assert (told["status"], told["reason"]) == (503, "too many requests wait for the application")


def test_pieces_are_sent_as_they_are_made(start_app: Start) -> None:
    hello = serve(start_app, THREADS)
    client = hello.connect()
    client.send(request("/trickles?go"))
    client.answer(to_head=True)
    assert client.chunk() == b"one"
    touch(hello, "go")
    assert (client.chunk(), client.chunk()) == (b"two", b"")


def test_a_thread_that_hangs_is_told_with_its_stack_and_its_worker_replaced(start_app: Start) -> None:
    hello = serve(start_app, 'threads = 2\nrequest_timeout = "1s"\ngraceful_timeout = "500ms"')
    idle, client = hello.connect(), hello.connect()
    assert idle.ask(request("/hello")).status == 200
    client.send(request("/waits?never"))
    found = answer(client)
    assert (found.status, found.body) == (503, b"waited too long for the application\n")
    place = hello.wait_for_log('request timed out request="GET /waits?never"')
    hello.wait_for_log("request_timeout passed", place)
    (worker,) = hello.wait_for_workers(1, without=hello.descriptors)
    assert re.search(r' stack pid=\d+ line="  File \\".*application\.py\\", line \d+ in wait_for"\n', hello.log[place:])
    assert idle.ask(request("/hello")).body == f"{worker}".encode()


def test_a_stream_that_hangs_is_cut(start_app: Start) -> None:
    hello = serve(start_app, 'threads = 2\nrequest_timeout = "1s"\ngraceful_timeout = "500ms"')
    client = hello.connect()
    client.send(request("/trickles?never", version="1.0"))
    assert until_cut(client) == TRUNCATED
    hello.wait_for_log('request timed out request="GET /trickles?never"')
    hello.wait_for_workers(1, without=hello.descriptors)


def test_with_one_thread_a_request_that_takes_too_long_ends_its_worker(start_app: Start) -> None:
    hello = serve(start_app, 'threads = 1\nrequest_timeout = "1s"')
    client = hello.connect()
    client.send(request("/waits?never"))
    hello.wait_for_log('request="GET /waits?never"', hello.wait_for_log("worker hangs; its stacks follow"))
    assert client.until_closed() == b""
    hello.wait_for_workers(1, without=hello.descriptors)


def test_what_is_told_of_a_stream_that_hangs_is_its_own_request(start_app: Start) -> None:
    hello = serve(start_app, 'threads = 1\nrequest_timeout = "1s"')
    client = hello.connect()
    client.send(request("/trickles?never"))
    hello.wait_for_log('request="GET /trickles?never"', hello.wait_for_log("worker hangs; its stacks follow"))
    assert until_cut(client)


# Replaced under load


@pytest.fixture(params=MODES)
def under_load(start_app: Start, request: pytest.FixtureRequest) -> tuple[Hello, str]:
    start_app.files = {"application.py": SOURCE}
    toml = f'app = "application:answer"\nworkers = 2\n{request.param}'
    return start_app(toml), toml


def test_a_reload_with_changed_code_loses_nothing_of_streams_files_and_uploads(
    under_load: tuple[Hello, str],
) -> None:
    hello, toml = under_load
    (hello.folder / "data").write_bytes(b"d" * 100_000)
    asked = {
        request("/pieces"): b"onetwo", request("/file?data"): b"d" * 100_000, request("/large?200"): b"x" * 200_000,
        post("/echo", b"y" * 100_000): b"y" * 100_000,
    }  # fmt: skip
    lost, counts, running = list[str](), dict.fromkeys(asked, 0), True

    def go_on_asking(sent: bytes) -> None:
        client = hello.connect()
        while running:
            try:
                client.send(sent)
                found = answer(client)
            except OSError as error:
                lost.append(f"{sent[:30]!r}: {error!r}")
                return
            if (found.status, found.body) != (200, asked[sent]):
                lost.append(f"{sent[:30]!r}: {found.status} {len(found.body)}")
                return
            counts[sent] += 1

    threads = [threading.Thread(target=go_on_asking, args=(sent,)) for sent in [*asked] * 2]
    for thread in threads:
        thread.start()
    try:
        for number in range(5):
            (hello.folder / "application.py").write_text(f"{SOURCE}\nGENERATION = {number}\n")
            hello.reload(toml)
            enough = {sent: count + 2 for sent, count in counts.items()}
            until(lambda enough=enough: lost or all(counts[each] >= enough[each] for each in asked), "more answers")  # type: ignore[misc]  # it can't be inferred
    finally:
        running = False
        for thread in threads:
            thread.join()
    assert lost == []
    assert "killing worker" not in hello.log


@pytest.mark.parametrize("action", ["reload", "upgrade", "recycle"])
def test_no_request_is_lost_while_workers_are_replaced(start_app: Start, mode: str, action: str) -> None:
    start_app.files = {"application.py": SOURCE}
    more = "max_requests = 200" if action == "recycle" else ""
    toml = f'app = "application:answer"\nworkers = 2\n{mode}\n{more}'
    hello = start_app(toml)
    with Load(hello.connect) as load:
        load.wait_for_more()
        if action != "recycle":
            hello.signal(SIGHUP if action == "reload" else SIGUSR2)
        hello.wait_for_workers(2, without=hello.descriptors) if action != "recycle" else until(
            lambda: not hello.worker_pids() & set(hello.descriptors), "other workers"
        )
        load.wait_for_more()
    assert load.lost == []
    assert {status for status, _ in load.answers} == {200}


def test_a_connection_moves_when_its_streamed_answer_has_ended(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    before = hello.worker_pids()
    client = connect_slowly(hello)
    client.send(request("/large?5000"))
    client.take_some()
    hello.signal(SIGHUP)
    hello.wait_for_log(" reloaded ")
    assert len(answer(client).body) == 5_000_000
    hello.wait_for_workers(1, without=before)
    found = client.ask(request("/hello"))
    assert int(found.body) not in before
    assert not found.is_last
    client.close()
    closed(hello, "large")


def test_what_is_being_closed_when_its_worker_leaves_is_closed(start_app: Start, mode: str) -> None:
    hello = serve(start_app, mode)
    client = hello.connect()
    for number in range(1, 6):
        client.send(request("/large?3000"))
        client.take_some()
        hello.signal(SIGHUP)
        assert len(answer(client).body) == 3_000_000
        closed(hello, "large", number)
        hello.wait_for_log(f" reloaded generation={number + 1} ")


def test_what_is_cut_at_graceful_timeout_is_closed_before_its_worker_ends(start_app: Start, mode: str) -> None:
    hello = serve(start_app, f'{mode}\ngraceful_timeout = "0.5s"')
    client = hello.connect()
    client.send(request("/closes_slowly"))
    client.take_some()
    hello.signal(SIGTERM)
    assert hello.wait_for_exit() == 0
    assert 'connections cut count=1 reason="graceful_timeout passed"' in hello.log
    closed(hello, "closes_slowly")


# The access log


def test_the_access_log_tells_what_was_sent_of_every_kind_of_answer(start_app: Start, mode: str) -> None:
    hello = serve(start_app, LOGGED.replace("workers = 1\n", "") + mode)
    (hello.folder / "data").write_bytes(b"d" * 100_000)
    client = hello.connect()
    sent = ["/pieces", "/sized", "/file?data", "/large?1000", "/status?204", "/fails"]
    for target in sent:
        client.send(request(target))
        answer(client)
    lines = logged(hello, len(sent))
    assert [(line, status, mark) for line, status, *_, mark in lines] == [
        (f"GET {target} HTTP/1.1", {"/status?204": 204, "/fails": 500}.get(target, 200), "+") for target in sent
    ]
    assert [body for _, _, body, *_ in lines] == [6, 6, 100_000, 1_000_000, 0, 24]
    assert all(total > body for _, _, body, total, *_ in lines)


def test_the_access_log_tells_of_an_answer_that_is_cut_how_much_was_sent(start_app: Start, mode: str) -> None:
    hello = serve(start_app, LOGGED.replace("workers = 1\n", "") + mode)
    client = hello.connect()
    client.send(request("/fails_later"))
    assert until_cut(client) == TRUNCATED
    slow = connect_slowly(hello)
    slow.send(request("/large?50000"))
    slow.answer(to_head=True)
    assert slow.chunk()
    slow.reset()
    cut, left = logged(hello, 2)
    assert (cut[0], cut[1], cut[2], cut[5]) == ("GET /fails_later HTTP/1.1", 200, 10, "X")
    assert (left[0], left[1], left[5]) == ("GET /large?50000 HTTP/1.1", 200, "X")
    assert 0 < left[2] < 50_000_000


def test_the_access_log_tells_of_who_leaves_before_its_answer(start_app: Start) -> None:
    hello = serve(start_app, LOGGED.replace("workers = 1\n", "") + THREADS)
    client = hello.connect()
    client.send(request("/waits?go"))
    begun(hello, 1)
    client.reset()
    [(line, status, body, total, _took, mark)] = logged(hello, 1)
    assert (line, status, body, total, mark) == ("GET /waits?go HTTP/1.1", 499, 0, 0, "X")
    touch(hello, "go")
    closed(hello, "waits")
