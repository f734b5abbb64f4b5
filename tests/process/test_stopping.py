"""How the service ends: what TERM, INT and QUIT do to requests, connections and the exit status."""

import time
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, Signals

import pytest

from tests.process import tcp
from tests.process.clients import GET, HALF_A_HEAD, Load
from tests.process.hello import Hello
from tests.process.injecting import held_up, needs_strace
from tests.process.starting import Start
from tests.process.test_balancing import counts
from tests.process.test_stopped_processes import stopped
from tests.process.waiting import until

REST_OF_THE_HEAD = GET.removeprefix(HALF_A_HEAD)


def wait_until_stopping(hello: Hello) -> None:
    """Wait until nobody accepts any more."""
    hello.wait_for_log("stopping how=graceful")
    until(lambda: not any(map(tcp.listening, hello.worker_pids())), "the workers to stop listening")


@needs_strace
@pytest.mark.parametrize("accept", ["reuseport", "shared"])
def test_who_connects_while_the_master_stops_listening_is_answered(start: Start, accept: str) -> None:
    hello = start(f'workers = 2\naccept = "{accept}"')
    with held_up(hello.master_pid, "close"):
        hello.signal(SIGTERM)
        hello.wait_for_log("stopping how=graceful")
        assert [hello.connect().ask().status for _ in range(100)] == [200] * 100
    assert hello.wait_for_exit() == 0


def test_term_ends_it_with_status_0(start: Start) -> None:
    hello = start("workers = 2")
    assert hello.stop(SIGTERM) == 0
    assert hello.log.endswith(" stopped\n")


def test_during_the_shutdown_delay_it_accepts_and_answers_and_a_second_term_ends_that(start: Start) -> None:
    hello = start("workers = 1\nshutdown_delay = 3600")
    idle = hello.connect()
    assert idle.ask().status == 200
    hello.signal(SIGTERM)
    hello.wait_for_log("stopping how=graceful")
    answer = hello.connect().ask()
    assert (answer.status, answer.is_last) == (200, False)
    assert idle.ask().status == 200
    hello.signal(SIGTERM)
    assert idle.until_closed() == b""
    hello.leave()
    assert hello.wait_for_exit() == 0


def test_the_shutdown_delay_passes(start: Start) -> None:
    hello = start("workers = 1\nshutdown_delay = 0.2")
    assert hello.stop() == 0


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_request_that_has_begun_is_answered_after_term_and_after_int(start: Start, number: Signals) -> None:
    hello = start("workers = 1")
    client = hello.connect()
    client.send(HALF_A_HEAD)
    assert hello.connect().ask().status == 200  # so the half is there too: the one worker reads in this order
    hello.signal(number)
    wait_until_stopping(hello)
    answer = client.ask(REST_OF_THE_HEAD)
    assert (answer.status, answer.is_last) == (200, True)
    assert client.until_closed() == b""
    hello.leave()
    assert hello.wait_for_exit() == 0


def test_a_body_that_has_begun_is_read_to_its_end_after_term(start: Start) -> None:
    hello = start("workers = 1")
    client = hello.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer().status == 100
    hello.signal(SIGTERM)
    wait_until_stopping(hello)
    answer = client.ask(b"0123456789")
    assert (answer.status, answer.is_last) == (200, True)
    hello.leave()
    assert hello.wait_for_exit() == 0


def test_term_closes_idle_connections(start: Start) -> None:
    hello = start("workers = 1")
    clients = [hello.connect() for _ in range(2)]
    assert [client.ask().status for client in clients] == [200, 200]
    hello.signal(SIGTERM)
    assert [client.until_closed() for client in clients] == [b"", b""]
    hello.leave()
    assert hello.wait_for_exit() == 0


@pytest.mark.parametrize("defer", ["0", "1s"])
def test_term_closes_connections_that_were_accepted_though_nothing_came(start: Start, defer: str) -> None:
    hello = start(f'workers = 1\ntcp_defer_accept = "{defer}"')
    (worker,) = hello.worker_pids()
    client = hello.connect()
    until(lambda: counts(hello) == {worker: 1}, "the connection to be accepted")
    hello.signal(SIGTERM)
    assert client.until_closed() == b""
    client.close()
    assert hello.wait_for_exit() == 0


def test_term_closes_a_thousand_idle_connections_and_cuts_none(start: Start) -> None:
    hello = start("workers = 2")
    clients = [hello.connect() for _ in range(1000)]
    for client in clients:
        assert client.ask().status == 200
    hello.signal(SIGTERM)
    for client in clients:
        assert client.until_closed() == b""
        client.close()
    hello.leave()
    assert hello.wait_for_exit() == 0
    assert "connections cut" not in hello.log


def test_a_slow_reader_gets_what_was_begun_whole_and_is_told_which_answer_is_the_last(start: Start) -> None:
    hello = start(f'workers = 1\nkeep_alive_timeout = 60\n[hello]\nbody = "{"x" * 60_000}"')
    client = hello.connect()
    client.send(GET * 400)  # their answers are more than any socket buffer takes
    client.take_some()
    hello.signal(SIGTERM)
    wait_until_stopping(hello)
    answers = [client.answer()]
    while not answers[-1].is_last:
        answers.append(client.answer())
    assert all(len(each.body) == 60_000 for each in answers)
    assert client.until_closed() == b""
    client.close()
    assert hello.wait_for_exit() == 0
    assert "connections cut" not in hello.log


def test_new_connections_are_refused_while_the_last_requests_are_finished(start: Start) -> None:
    hello = start("workers = 2")
    client = hello.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer().status == 100
    hello.signal(SIGTERM)
    hello.wait_for_log("stopping how=graceful")
    until(lambda: not hello.listens(), "connections to be refused")
    assert client.ask(b"0123456789").status == 200


def test_a_client_that_never_finishes_is_cut_off_after_graceful_timeout(start: Start) -> None:
    hello = start('workers = 1\ngraceful_timeout = "300ms"')
    client = hello.connect()
    client.send(HALF_A_HEAD)
    assert hello.get().status_code == 200
    assert hello.stop() == 0
    assert "connections cut count=1" in hello.log


def test_a_second_int_ends_it_at_once(start: Start) -> None:
    hello = start("workers = 1")
    client = hello.connect()
    client.send(HALF_A_HEAD)
    assert hello.connect().ask().status == 200
    hello.signal(SIGINT)
    hello.wait_for_log("stopping how=graceful")
    hello.signal(SIGINT)
    hello.wait_for_log("stopping how=fast")
    assert hello.wait_for_exit() == 0


def test_quit_ends_it_at_once(start: Start) -> None:
    hello = start("workers = 1")
    client = hello.connect()
    client.send(HALF_A_HEAD)
    assert hello.connect().ask().status == 200
    assert hello.stop(SIGQUIT) == 0
    assert "stopping how=fast" in hello.log


def test_no_request_that_was_sent_before_term_is_lost(start: Start) -> None:
    """Clients that were connected when TERM came are answered, or closed before they have sent anything."""
    hello = start("workers = 2")
    with stopped(*hello.worker_pids()):  # so that they are still to be accepted when TERM comes
        clients = [hello.connect() for _ in range(100)]
        for client in clients:
            client.send(GET)
        hello.signal(SIGTERM)
        hello.wait_for_log("stopping how=graceful")
    assert all(client.answer().status == 200 for client in clients)
    hello.leave()
    assert hello.wait_for_exit() == 0


def test_term_during_a_load_ends_with_status_0(start: Start) -> None:
    hello = start("workers = 2")
    with Load(hello.connect) as load:
        load.wait_for_more()
        assert hello.stop() == 0
    assert set(load.answers) == {(200, b"Hello, world!")}


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
def test_a_signal_while_it_starts_ends_it_with_status_0_and_without_a_traceback(start: Start, number: Signals) -> None:
    for _ in range(5):
        hello = start.launch("workers = 4")
        hello.wait_for_log(" starting ")
        assert hello.stop(number) == 0


def test_term_is_not_lost_among_a_thousand_reloads(start: Start) -> None:
    hello = start("workers = 4")
    for _ in range(1000):
        hello.signal(SIGHUP)
        time.sleep(0.0005)  # else most of them are one to the kernel
    assert hello.stop(SIGTERM) == 0
