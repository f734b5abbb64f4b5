"""What a worker has to know of the application that it serves, and the application of the worker."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct, field

from prefork.apps.note import Note
from prefork.apps.pool import Pool
from prefork.config.schema import Config
from prefork.http.answers import nothing
from prefork.http.forwarded import Forwarding
from prefork.http.service import NewAwaited, NewContent, Respond
from prefork.http.trust import NOBODY
from prefork.logs.log import Log


class ThisWorker(Struct, frozen=True):
    """The worker that an application runs in: its slot counts from 0, its generation rises with each reload.

    In the `note` it tells what it is at work on; by the `forwarding` it finds out whose a request is.
    """

    slot: int
    generation: int
    pid: int
    log: Log
    note: Note = field(default_factory=Note)
    forwarding: Forwarding = Forwarding(NOBODY)


class Application(Struct, frozen=True):
    """A loaded application: what answers requests, what is called when the worker is to leave, and what when it ends.

    `new_content` makes what keeps the content of a request for it, None where it reads none. With `threads` it answers
    later, and with `new_awaited` it is asked before there is content whose client waits for 100 (Continue).
    """

    respond: Respond
    new_content: NewContent | None = None
    threads: Pool | None = None
    new_awaited: NewAwaited | None = None
    pre_stop: Callable[[], None] = nothing
    worker_exit: Callable[[], None] = nothing


class LoadError(Exception):
    """A reason why the application can't be served, in one line, and the lines of its own traceback.

    `status` is the exit status of a service that ends by it.
    """

    def __init__(self, status: int, problem: str, traceback: tuple[str, ...] = ()) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem
        self.traceback = traceback


class Source(Struct, frozen=True):
    """What applications are made of, in the process that they run in or whose children they run in.

    `preload` imports what the workers that are forked later can share, `load` makes the application of a worker, and
    imports before what was not preloaded. Both raise LoadError.
    """

    preload: Callable[[], object]
    load: Callable[[ThisWorker], Application]


# Called as the workers' user, with the variables of env_file; raises LoadError.
Find: TypeAlias = Callable[[Config, Mapping[str, str]], Source]
