"""Loads what `prefork run` serves: the user's WSGI application and hooks."""

import atexit
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Final

from prefork.apps.awaited import AwaitedContent
from prefork.apps.blame import blame
from prefork.apps.content import KeptContent
from prefork.apps.failing import Failed, explained, unexplained
from prefork.apps.hooks import Hooks
from prefork.apps.interface import Application, Find, Source, ThisWorker
from prefork.apps.loading import load
from prefork.apps.pool import Pool
from prefork.apps.preparing import drop_young_bytecode, prepare
from prefork.apps.wsgi import Gateway, Wsgi
from prefork.config.schema import Config
from prefork.http.service import NewAwaited, NewContent, Respond


def find_application(config: Config, variables: Mapping[str, str], failed: Failed = unexplained) -> Source:
    """Prepare this process for the application that is configured, and import its hooks; raises LoadError.

    `failed` makes what is answered where the application raises.
    """
    began, known = time.time(), frozenset(sys.modules)
    prepare(config.chdir, config.pythonpath, variables)
    hooks = Hooks(config.hooks)

    @cache
    def imported() -> Wsgi:
        assert config.app is not None
        found = load(config.app)
        drop_young_bytecode(known, began)
        return found

    return Source(imported, partial(load_application, config, hooks, imported, failed))


find_in_development: Final[Find] = partial(find_application, failed=explained)


def load_application(
    config: Config, hooks: Hooks, imported: Callable[[], Wsgi], failed: Failed, worker: ThisWorker
) -> Application:
    """Return the application of a worker; raises LoadError."""
    hooks.prepare("post_fork", worker)
    application = Application(
        *answering(config, imported(), worker, failed),
        pre_stop=partial(hooks.tell, "pre_stop", worker),
        worker_exit=partial(leave, hooks, worker),
    )
    hooks.prepare("post_worker_init", worker)
    return application


def leave(hooks: Hooks, worker: ThisWorker) -> None:
    """Have the hook called, then do what Python does at the end of a process, which os._exit leaves out.

    Threads but daemons are waited for, and with them executors, whose processes would be left over; then what is
    registered with atexit is called.
    """

    def tell(failed: "sys.UnraisableHookArgs") -> None:
        assert failed.exc_value is not None
        blame(worker.log, "atexit failed", failed.exc_value)

    hooks.tell("worker_exit", worker)
    sys.unraisablehook = tell
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing does in its processes
    atexit._run_exitfuncs()  # noqa: SLF001


def answering(
    config: Config, application: Wsgi, worker: ThisWorker, failed: Failed = unexplained
) -> tuple[Respond, NewContent, Pool | None, NewAwaited | None]:
    """Return what answers by a WSGI application, what keeps content for it, its threads, and what these wait for."""
    gateway = Gateway(
        application,
        worker.forwarding,
        worker.log,
        worker.note,
        prefix=config.url_prefix or "",
        multithread=config.threads > 1,
        failed=failed,
    )
    new_content = partial(KeptContent, config.body_buffer)
    if config.threads == 1:
        return gateway.respond, new_content, None, None
    worker.note.due = math.inf  # that threads work doesn't tell whether the loop does
    pool = Pool(gateway.respond, config.threads, config.max_queued_requests)
    new_awaited = partial(AwaitedContent, config.body_buffer, pool.post) if config.continue_on_read else None
    return pool.respond, new_content, pool, new_awaited
