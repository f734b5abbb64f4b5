"""Loads what `prefork run` serves: the user's WSGI application and hooks."""

import sys
from collections.abc import Mapping
from functools import partial

from prefork.apps.hooks import Hooks
from prefork.apps.interface import Application, ThisWorker
from prefork.apps.loading import load, prepare
from prefork.apps.wsgi import wsgi
from prefork.config.schema import Config


def load_application(config: Config, variables: Mapping[str, str], worker: ThisWorker) -> Application:
    """Return the application that is configured; raises LoadError."""
    assert config.app is not None
    # Compiled code is told from older by seconds and size: what is edited twice in a second would be taken for the former.
    sys.dont_write_bytecode = sys.dont_write_bytecode or config.reload
    prepare(config.chdir, config.pythonpath, variables)
    hooks = Hooks(config.hooks, worker)
    hooks.prepare("post_fork")
    application = Application(
        wsgi(load(config.app)),
        pre_stop=partial(hooks.tell, "pre_stop"),
        worker_exit=partial(hooks.tell, "worker_exit"),
    )
    hooks.prepare("post_worker_init")
    return application
