"""A configuration of gunicorn that freezes the garbage collector before each fork."""

import gc


def pre_fork(_server: object, _worker: object) -> None:
    """Have no collection touch what is there."""
    gc.freeze()
