"""When a line is written, and what it says of what was sent; at log level debug each head is shown."""

import os
from collections.abc import Iterator

import pytest

from prefork.http.forwarded import Forwarding
from prefork.http.messages import FRAMINGS, KEEP, Peer, Request, Response
from prefork.http.trust import trusting
from prefork.logs.access import AccessLog
from prefork.worker.lines import Lines
from prefork.worker.loop import Loop
from prefork.worker.observing import Observer, Watch, show

Stderr = pytest.CaptureFixture[str]

HEAD = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
REQUEST = Request(b"GET", b"/a", 1, HEAD)
HELLO = Response(200, (), b"Hello")
SIZE = 105  # of the answer in bytes


class Log:
    """A watch whose access log is a pipe, and an observer of one connection."""

    def __init__(
        self, pattern: str = '%h "%r" %s %B %O %X', peer: bytes = b"127.0.0.1", *, show_heads: bool = False
    ) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        self.access = AccessLog(writer)
        self.loop = Loop()
        forwarding = Forwarding(trusting(["127.0.0.1"]))
        self.watch = Watch(self.access, Lines(pattern), forwarding, self.loop, show_heads=show_heads)
        self.observer = Observer(self.watch, Peer(peer))

    def answer(self, head: bytes = HEAD, request: Request | None = REQUEST, response: Response = HELLO) -> None:
        body = 0 if request and request.framing.head_only else len(response.body)
        self.observer.answered(head, request, response.status, size=SIZE, body=body, more=False)

    def lines(self) -> list[str]:
        self.access.flush()
        try:
            return os.read(self._reader, 65536).decode().splitlines()
        except BlockingIOError:
            return []

    def close(self) -> None:
        os.close(self._reader)
        os.close(self.access.fd)
        self.loop.close()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.close()


def test_a_line_is_written_when_all_of_the_answer_is_sent(log: Log) -> None:
    log.answer()
    log.observer.sent(100)
    assert log.lines() == []
    log.observer.sent(5)
    assert log.lines() == ['127.0.0.1 "GET /a HTTP/1.1" 200 5 105 +']


def test_answers_that_are_sent_together_are_told_in_their_order(log: Log) -> None:
    for status in (200, 404, 500):
        log.answer(response=Response(status, (), b"Hello"))
    log.observer.sent(2 * SIZE + 1)
    assert [each.split()[4] for each in log.lines()] == ["200", "404"]
    log.observer.sent(SIZE - 1 + 25)  # with an interim answer behind it
    assert [each.split()[4] for each in log.lines()] == ["500"]
    assert not log.observer.owed


@pytest.mark.parametrize(("sent", "told"), [(0, "0 0 X"), (99, "0 99 X"), (100, "0 100 X"), (103, "3 103 X")])
def test_an_answer_that_is_cut_is_told_with_what_was_sent(log: Log, sent: int, told: str) -> None:
    log.answer()
    log.observer.sent(sent)
    log.observer.closed(b"", valid=False)
    assert log.lines() == [f'127.0.0.1 "GET /a HTTP/1.1" 200 {told}']


def test_a_request_that_is_never_answered_is_told_with_499(log: Log) -> None:
    log.observer.closed(b"GET /half HT", valid=False)
    log.observer.closed(HEAD, valid=True)
    log.observer.closed(b"", valid=False)
    assert log.lines() == ['127.0.0.1 "GET /half HT" 499 0 0 X', '127.0.0.1 "GET /a HTTP/1.1" 499 0 0 X']


def test_a_streamed_answer_is_told_when_it_is_whole_and_all_of_it_is_taken(log: Log) -> None:
    log.observer.answered(HEAD, REQUEST, 200, size=100, body=0, more=True)
    log.observer.sent(100)
    log.observer.grew(size=15, body=10)
    log.observer.sent(15)
    assert log.lines() == []
    log.observer.grew(size=5, body=0)
    log.observer.ended()
    assert log.lines() == []
    log.observer.sent(5)
    assert log.lines() == ['127.0.0.1 "GET /a HTTP/1.1" 200 10 120 +']


def test_a_streamed_answer_is_told_at_its_end_though_all_has_been_taken_by_then(log: Log) -> None:
    log.observer.answered(HEAD, REQUEST, 200, size=110, body=10, more=True)
    log.observer.sent(110)
    assert log.lines() == []
    log.observer.ended()
    assert log.lines() == ['127.0.0.1 "GET /a HTTP/1.1" 200 10 110 +']


def test_a_streamed_answer_grows_though_the_one_before_it_is_not_taken_yet(log: Log) -> None:
    log.answer()
    log.observer.answered(HEAD, REQUEST, 404, size=100, body=0, more=True)
    log.observer.grew(size=10, body=10)
    log.observer.ended()
    log.observer.sent(SIZE)
    assert log.lines() == ['127.0.0.1 "GET /a HTTP/1.1" 200 5 105 +']
    log.observer.sent(110)
    assert log.lines() == ['127.0.0.1 "GET /a HTTP/1.1" 404 10 110 +']


def test_a_streamed_answer_that_goes_on_no_more_is_not_complete(log: Log) -> None:
    log.observer.answered(HEAD, REQUEST, 200, size=110, body=10, more=True)
    log.observer.sent(110)
    log.observer.closed(b"", valid=False)
    assert log.lines() == ['127.0.0.1 "GET /a HTTP/1.1" 200 10 110 X']


def test_the_answer_to_head_has_no_body(log: Log) -> None:
    log.answer(b"HEAD / HTTP/1.1\r\n\r\n", Request(b"HEAD", b"/", 1, b"", FRAMINGS[KEEP, True]))
    log.observer.sent(SIZE)
    assert log.lines() == ['127.0.0.1 "HEAD / HTTP/1.1" 200 0 105 +']


def test_the_time_runs_from_the_first_byte_of_a_request_to_the_last_of_its_answer() -> None:
    log = Log("%D")
    for pause in (3, 2):  # seconds that seem to pass before the rest comes, the second time after another answer
        log.loop.now -= pause
        log.observer.begin()
        log.loop.now += 1
        log.observer.begin()
        log.answer()
        log.observer.sent(SIZE)
        log.loop.now += pause - 1
    first, second = map(int, log.lines())
    log.close()
    assert 3e6 <= first < 4e6
    assert 2e6 <= second < 3e6


def test_the_time_of_a_request_that_came_with_the_one_before_runs_from_the_answer_to_that() -> None:
    log = Log("%D")
    log.loop.now -= 3
    log.observer.begin()
    log.loop.now += 3
    log.answer()
    log.answer()
    log.observer.sent(2 * SIZE)
    first, second = map(int, log.lines())
    log.close()
    assert first - second >= 2e6


def test_what_is_owed_moves_to_another_process(log: Log) -> None:
    heir = Log()
    log.answer()
    log.observer.sent(103)
    heir.observer.resume(*log.observer.leave())
    heir.observer.sent(2)
    assert heir.lines() == ['127.0.0.1 "GET /a HTTP/1.1" 200 5 105 +']
    heir.close()


def test_the_time_of_a_request_runs_on_in_another_process() -> None:
    log, heir = Log("%D"), Log("%D")
    log.loop.now -= 3
    log.observer.begin()
    heir.observer.resume(*log.observer.leave())
    heir.observer.begin()
    heir.answer()
    heir.observer.sent(SIZE)
    assert int(heir.lines()[0]) >= 3e6
    for each in log, heir:
        each.close()


def test_the_time_of_a_request_that_is_never_answered_runs_from_its_first_byte_if_any_was_seen() -> None:
    log = Log("%D")
    log.observer.closed(b"GET /unseen", valid=False)
    log.loop.now -= 3
    log.observer.begin()
    log.loop.now += 3
    log.observer.closed(b"GET /half", valid=False)
    unseen, half = map(int, log.lines())
    log.close()
    assert half - unseen >= 2e6


def test_where_no_access_log_is_any_more_nobody_is_told_what_was_owed() -> None:
    log, loop = Log(), Loop()
    log.answer()
    watch = Watch(None, Lines("combined"), Forwarding(trusting([])), loop, show_heads=True)
    heir = Observer(watch, Peer(b"127.0.0.1"))
    heir.resume(*log.observer.leave())
    heir.sent(SIZE)
    assert not heir.owed
    log.close()
    loop.close()


def test_where_only_heads_are_shown_nothing_is_kept(capfd: Stderr) -> None:
    loop = Loop()
    watch = Watch(None, Lines("combined"), Forwarding(trusting([])), loop, show_heads=True)
    observer = Observer(watch, Peer(b"::1"))
    observer.answered(HEAD, REQUEST, 200, size=SIZE, body=5, more=False)
    observer.answered(HEAD, REQUEST, 200, size=SIZE, body=5, more=True)
    observer.grew(size=5, body=5)
    observer.ended()
    observer.closed(b"GET", valid=False)
    assert not observer.owed
    assert "GET /a HTTP/1.1" in capfd.readouterr().err
    loop.close()


def test_no_head_is_shown_where_that_is_not_wanted(log: Log, capfd: Stderr) -> None:
    log.answer()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("peer", "logged"), [(b"127.0.0.1", "192.0.2.1"), (b"192.0.2.9", "192.0.2.9")])
def test_the_client_is_logged_that_a_trusted_proxy_tells_of(peer: bytes, logged: str) -> None:
    log = Log("%h", peer)
    head = b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    for request in (Request(b"GET", b"/", 1, head), None):
        log.answer(head, request)
        log.observer.sent(SIZE)
    assert log.lines() == [logged, peer.decode()]  # a refused head is not believed
    log.close()


def test_a_head_is_shown_under_a_rule(capfd: Stderr) -> None:
    show(HEAD)
    assert capfd.readouterr().err == "-" * 40 + "\nGET /a HTTP/1.1\nHost: a\n"


def test_what_could_drive_a_terminal_is_shown_as_question_marks(capfd: Stderr) -> None:
    show(b"GET /\x1b[2J\x07\xff HTTP/1.1\r\nX: a\tb\r\n\r\n")
    assert capfd.readouterr().err.splitlines()[1:] == ["GET /?[2J?? HTTP/1.1", "X: a\tb"]
