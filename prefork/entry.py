"""Where the commands begin: with the signals as a program expects them that waits for its children.

Until all is imported, after some 60 ms, an interrupt ends them as it does any program: Python would print a traceback
of whatever import it met.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIG_DFL, SIGCHLD, SIGINT, default_int_handler, getsignal, signal
from typing import NoReturn


def prefork() -> NoReturn:
    """Run the command `prefork`."""
    with signals_while_importing():
        from prefork import cli  # noqa: PLC0415
    cli.prefork()


def prefork_hello() -> NoReturn:
    """Run the command `prefork-hello`."""
    with signals_while_importing():
        from prefork import cli  # noqa: PLC0415
    cli.prefork_hello()


@contextmanager
def signals_while_importing() -> Iterator[None]:
    """Let SIGINT end the process meanwhile, instead of raising KeyboardInterrupt; where it is ignored, it stays so.

    SIGCHLD isn't ignored any more: whoever was started like that could wait for no child (ECHILD, wait(2)).
    """
    signal(SIGCHLD, SIG_DFL)
    if getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, SIG_DFL)
    yield
    if getsignal(SIGINT) is SIG_DFL:
        signal(SIGINT, default_int_handler)
