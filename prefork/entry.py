"""Where the commands begin: until all is imported, after some 60 ms, an interrupt ends them as it does any program.

Python would print a traceback of whatever import it met.
"""

import signal
from typing import NoReturn


def prefork() -> NoReturn:
    """Run the command `prefork`."""
    let_interrupts_end()
    from prefork import cli  # noqa: PLC0415

    let_interrupts_raise()
    cli.prefork()


def prefork_hello() -> NoReturn:
    """Run the command `prefork-hello`."""
    let_interrupts_end()
    from prefork import cli  # noqa: PLC0415

    let_interrupts_raise()
    cli.prefork_hello()


def let_interrupts_end() -> None:
    """Let SIGINT end the process, unless it was started with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def let_interrupts_raise() -> None:
    """Let SIGINT raise KeyboardInterrupt again, where it ended the process."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
