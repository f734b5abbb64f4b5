"""The lines between a command and a master."""

import msgspec
import pytest

from prefork.ipc.control import (
    Answer,
    Dump,
    LastReload,
    Reload,
    Request,
    Service,
    Status,
    Stop,
    Upgrade,
    Worker,
    Workers,
    decode_answer,
    decode_request,
    encode,
)

SERVICE = Service(
    name="prefork-hello",
    version="1",
    pid=2,
    uptime=3.5,
    generation=4,
    wanted=1,
    state="serving",
    last_reload=LastReload(4, "succeeded"),
    listeners=("127.0.0.1:80",),
    workers=(Worker(0, 5, 4, "ready", age=2.5, connections=3, requests=9, failures=0, deadline=None),),
)


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (b'{"command":"reload"}', Reload()),
        (b'{"command":"upgrade"}', Upgrade()),
        (b'{"command":"stop","fast":true}', Stop(fast=True)),
        (b'{"command":"stop"}', Stop(fast=False)),
        (b'{"command":"workers","count":3}', Workers(3, relative=False)),
        (b'{"command":"workers","count":-1,"relative":true}', Workers(-1, relative=True)),
        (b'{"command":"status"}', Status()),
        (b' {"command": "dump", "of a later version": 1} \r', Dump()),
    ],
)
def test_a_line_asks_for_something(line: bytes, request_: Request) -> None:
    assert decode_request(line) == decode_request(encode(request_)) == request_


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"reload",
        b"{}",
        b'{"command":"format"}',
        b'{"command":"workers"}',
        b'{"command":"stop","fast":1}',
        b'{"command":"workers","count":2147483648}',
        b'{"command":"workers","count":%b}' % (b"9" * 4400),  # more digits than Python prints
    ],
)
def test_anything_else_is_no_request(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_request(line)


def test_a_line_that_is_nested_too_deeply_is_none() -> None:
    with pytest.raises(ValueError, match=r"recursion|truncated"):  # as deep as this version of Python goes
        decode_request(b'{"command":"stop","later":' + b"[" * 100_000)


@pytest.mark.parametrize("answer", [Answer("stopped"), Answer("no", 1), Answer("2 of 2", service=SERVICE)])
def test_an_answer_is_one_line_and_comes_back_as_it_was(answer: Answer) -> None:
    line = encode(answer)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_answer(line) == answer
