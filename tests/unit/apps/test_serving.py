"""What a configuration makes of an application: what answers, what keeps content, and threads."""

import os
import select
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from prefork.apps.awaited import AwaitedContent
from prefork.apps.content import KeptContent
from prefork.apps.interface import ThisWorker
from prefork.apps.pool import Pool
from prefork.apps.serving import answering, find_application
from prefork.config.schema import Config
from prefork.http.answers import Pending, Whole
from prefork.http.forwarded import Forwarding
from prefork.http.messages import Peer, Request
from prefork.http.trust import trusting
from prefork.logs.log import Log
from tests.unit.apps.modules import folder
from tests.unit.children import in_child

__all__ = ["folder"]

PEER = Peer(b"127.0.0.1")
WORKER = ThisWorker(0, 1, 7, Log("worker-0", "info"))
HEAD = b"GET /shop/a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"


def tell(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    keys = ("SCRIPT_NAME", "PATH_INFO", "REMOTE_ADDR", "wsgi.multithread")
    return [" ".join(str(environ[key]) for key in keys).encode()]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (Config(), b" /shop/a 127.0.0.1 False"),
        (Config(url_prefix="/shop"), b"/shop /a 127.0.0.1 False"),
    ],
)
def test_the_environ_follows_the_configuration(config: Config, told: bytes) -> None:
    respond, _, threads, _ = answering(config, tell, WORKER)
    answer = respond(Request(b"GET", b"/shop/a", 1, HEAD), PEER, None)
    assert isinstance(answer, Whole)
    assert (answer.body, threads) == (told, None)


def test_whose_a_request_is_the_application_has_from_what_its_worker_believes() -> None:
    worker = ThisWorker(0, 1, 7, WORKER.log, forwarding=Forwarding(trusting(["127.0.0.1"])))
    respond, *_ = answering(Config(), tell, worker)
    answer = respond(Request(b"GET", b"/shop/a", 1, HEAD), PEER, None)
    assert isinstance(answer, Whole)
    assert answer.body == b" /shop/a 192.0.2.1 False"


def test_with_more_than_one_thread_there_is_a_pool_and_the_environ_says_so() -> None:
    respond, _, threads, _ = answering(Config(threads=2), tell, WORKER)
    assert isinstance(threads, Pool)
    pending = respond(Request(b"GET", b"/shop/a", 1, HEAD), PEER, None)
    assert isinstance(pending, Pending)
    while threads.is_busy:
        assert select.select([threads], [], [], 10)[0]
        threads.on_readable(0)
    answer = pending.answer()
    assert isinstance(answer, Whole)
    assert answer.body == b" /shop/a 127.0.0.1 True"
    # Its descriptor stays: a thread may be about to write to it.


def test_content_is_awaited_where_that_is_configured() -> None:
    *_, threads, none = answering(Config(threads=2), tell, WORKER)
    assert none is None
    *_, pool, new_awaited = answering(Config(threads=2, continue_on_read=True, body_buffer=3), tell, WORKER)
    assert new_awaited is not None
    content = new_awaited()
    content.write(b"four")
    assert isinstance(content, AwaitedContent)
    assert not isinstance(content.file, BytesIO)
    content.close()
    for each in threads, pool:
        assert each is not None
        each.on_readable(0)
        os.close(each.fileno())
    assert content.file.closed


def test_as_much_content_is_kept_in_memory_as_is_configured() -> None:
    _, new_content, *_ = answering(Config(body_buffer=3), tell, WORKER)
    content = new_content()
    assert isinstance(content, KeptContent)
    kept = []
    for piece in b"one", b"two":
        content.write(piece)
        kept.append(isinstance(content.file, BytesIO))
    assert kept == [True, False]
    content.close()


def test_an_application_is_loaded_between_its_hooks(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "shop.py").write_text("def app(environ, start_response):\n    return []\nprint('imported')\n")
    names = "post_fork", "post_worker_init", "pre_stop", "worker_exit"
    (folder / "shop_hooks.py").write_text("".join(f"def {name}(worker):\n    print('{name}')\n" for name in names))

    def serve() -> None:
        config = Config(app="shop:app", hooks="shop_hooks")
        application = find_application(config, {}).load(ThisWorker(0, 1, 1, WORKER.log))
        assert application.new_content is not None
        application.pre_stop()
        application.worker_exit()
        sys.stdout.flush()

    in_child(serve)  # a process whose executors have ended takes no more of them
    assert capfd.readouterr().out.split() == ["post_fork", "imported", "post_worker_init", "pre_stop", "worker_exit"]


def test_what_is_preloaded_is_not_imported_again_by_a_worker(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "mold_shop.py").write_text(
        "def make():\n    print('made')\n    return lambda environ, start_response: []\nprint('imported')\n"
    )
    (folder / "mold_hooks.py").write_text("def post_fork(worker):\n    print('post_fork')\n")
    source = find_application(Config(app="mold_shop:make()", hooks="mold_hooks"), {})
    source.preload()
    for slot in range(2):
        source.load(ThisWorker(slot, 1, 1, WORKER.log))
    assert capfd.readouterr().out.split() == ["imported", "made", "post_fork", "post_fork"]
