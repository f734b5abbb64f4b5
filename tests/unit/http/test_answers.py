"""What another thread is at work on, when it is done and when nobody waits for it any more."""

import pytest

from prefork.http.answers import WANTED, AnswerHead, Pending, Stream, Truncated, Whole

WHOLE = Whole(AnswerHead(200, b""), b"Hello")


def stream(closed: list[str]) -> Stream:
    return Stream(AnswerHead(200, b""), lambda: None, lambda: closed.append("closed"))


def test_who_waits_is_told_when_it_is_done() -> None:
    pending, told = Pending(), []
    pending.on_done = lambda: told.append(pending.answer())
    assert not pending.is_done
    pending.finish(WHOLE)
    assert (told, pending.is_done) == ([WHOLE], True)


@pytest.mark.parametrize("piece", [b"one", None])
def test_the_end_is_a_piece_too(piece: bytes | None) -> None:
    pending = Pending()
    pending.finish(piece)
    assert (pending.is_done, pending.piece()) == (True, piece)


def test_a_piece_that_can_not_be_made_is_raised() -> None:
    pending = Pending()
    pending.finish(Truncated())
    with pytest.raises(Truncated):
        pending.piece()


def test_what_is_done_for_nobody_is_closed_and_nobody_told() -> None:
    pending, closed = Pending(), list[str]()
    pending.on_done = lambda: pytest.fail("it is told")
    pending.on_abandon = lambda: closed.append("abandoned")
    pending.abandon()
    pending.finish(stream(closed))
    assert closed == ["abandoned", "closed"]
    pending.finish(WHOLE)


def test_what_was_done_and_not_taken_is_closed() -> None:
    pending, closed = Pending(), list[str]()
    pending.finish(stream(closed))
    assert closed == []
    pending.abandon()
    assert closed == ["closed"]


def test_what_is_wanted_first_is_told_as_an_answer_is_and_then_it_goes_on() -> None:
    pending, told = Pending(), list[object]()
    pending.on_done = lambda: told.append(pending.result)
    pending.want()
    pending.go_on()
    assert (told, pending.is_done) == ([WANTED], False)
    pending.finish(WHOLE)
    assert (told, pending.answer()) == ([WANTED], WHOLE)  # who was told has other things to wait for meanwhile


def test_what_is_wanted_for_nobody_is_not_told() -> None:
    pending = Pending()
    pending.on_done = lambda: pytest.fail("it is told")
    pending.abandon()
    pending.want()
    assert (pending.result, pending.is_done) == (None, False)


def test_what_is_wanted_after_the_answer_does_not_replace_it() -> None:
    pending = Pending()
    pending.finish(WHOLE)
    pending.want()
    assert pending.answer() is WHOLE
