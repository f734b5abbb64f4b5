"""Forks processes, ends them, and learns how they ended. Decides nothing.

A pidfd becomes readable when its process exits, and names no other after that, however soon the pid is used again
(pidfd_open(2)).
"""

import os
import signal
import socket
import traceback
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NoReturn

from msgspec import Struct

from prefork.descriptors import leave
from prefork.ipc.channel import Channel, channel_pair
from prefork.ipc.scoreboard import Row
from prefork.kernel import read
from prefork.logs.log import STDERR, Log
from prefork.master.errors import refusal
from prefork.master.stacks import Stacks

HIGHEST: Final = 64 * 1024  # descriptors of a master, which has some for each worker; a system may allow 2^30
# What a signal may do between the fork and the moment when the worker takes care of it.
IN_CHILD: Final[Mapping[signal.Signals, signal.Handlers]] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGINT: signal.SIG_IGN,
    signal.SIGHUP: signal.SIG_IGN,
    signal.SIGUSR1: signal.SIG_IGN,
    signal.SIGUSR2: signal.SIG_IGN,
    signal.SIGTTIN: signal.SIG_IGN,
    signal.SIGTTOU: signal.SIG_IGN,
    signal.SIGWINCH: signal.SIG_IGN,
    signal.SIGCHLD: signal.SIG_DFL,
}


class Process(Struct, frozen=True):
    """A forked worker; the descriptors are the master's. `listeners` are those that it was given, in all.

    By `stacks` come those of its threads, after `dump`.
    """

    pid: int
    pidfd: int
    channel: Channel
    row: Row
    listeners: set[socket.socket]
    stacks: Stacks

    def dump(self) -> bool:
        """Have it write the stacks of its threads, if that is permitted; one that is only starting ignores it."""
        return self._send(signal.SIGUSR2)

    def kill(self) -> bool:
        """End it at once, if that is permitted."""
        return self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> bool:
        """Send a signal, and return whether that is permitted: of another user it takes CAP_KILL (capabilities(7))."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except PermissionError:
            return False
        except ProcessLookupError:  # dead, and not reaped yet
            pass
        return True

    def reap(self) -> tuple[str, bool]:
        """Return how it ended, in words, and whether by SIGKILL; call it when the pidfd is readable."""
        code, status = reaped(self.pidfd)
        return ending(code, status), status == signal.SIGKILL

    def forget(self) -> None:
        """Close the descriptors."""
        os.close(self.pidfd)
        self.channel.close()
        self.stacks.close()


def reaped(pidfd: int) -> tuple[int, int]:
    """Wait for the end of a child, and return waitid(2)'s si_code and si_status."""
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert result is not None
    return result.si_code, result.si_status


def end_after(seconds: float) -> None:
    """End this process by SIGALRM if it takes longer: the kernel keeps the time, whatever hangs, over execve(2) too."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def ending(code: int, status: int) -> str:
    """Say how a process ended, by waitid(2)'s si_code and si_status."""
    if code == os.CLD_EXITED:
        return f"exit status {status}"
    names = {each.value: each.name for each in signal.Signals}  # most real-time signals have none
    return f"killed by {names.get(status, f'signal {status}')}"


def strangers(known: Collection[int]) -> list[int]:
    """Return the pids of children that are not `known`: those of whoever became this program, or of an init's wards.

    Empty where the kernel doesn't tell (proc(5), /proc/PID/task/TID/children).
    """
    return [pid for pid in map(int, read("/proc/thread-self/children").split()) if pid not in known]


def fork(work: Callable[[Channel], None], kept: Collection[int] | None = None) -> tuple[int, int, Channel]:
    """Fork a worker that does `work`, with no descriptor of the master's but those `kept`, None for all of them.

    Returns its pid, a pidfd and the master's end of the channel to it.

    Raises:
        OSError: the system refused.
    """
    ours, theirs = channel_pair()

    def begin() -> None:
        ours.close()
        if kept is not None:
            leave_all_but({theirs.fileno(), *kept})
        work(theirs)

    pid = None
    try:
        pid = fork_child(begin)
        return pid, os.pidfd_open(pid), ours
    except OSError:
        ours.close()
        if pid is not None:  # no descriptor left for its pidfd: it can't be watched, so it may not live
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise
    finally:
        theirs.close()


def leave_all_but(kept: Collection[int]) -> None:
    """Leave what would not outlive an execve(2) either, but these: what else is open was not opened by this program."""
    leave([fd for fd in _descriptors() if fd > STDERR and fd not in kept and _is_private(fd)])


def _is_private(fd: int) -> bool:
    try:
        return not os.get_inheritable(fd)
    except OSError:  # not open; it was that of the list
        return False


def _descriptors() -> Iterable[int]:
    try:
        return list(map(int, os.listdir("/proc/self/fd")))
    except OSError:  # no /proc, or no descriptor left for it
        return range(min(os.sysconf("SC_OPEN_MAX"), HIGHEST))


def fork_child(work: Callable[[], None]) -> int:
    """Fork a process that does `work` and exits. Return its pid; raises OSError."""
    # A signal between fork and reset would run our handler in the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, IN_CHILD)
    try:
        # The log warns of the threads of a mold. Python does too, and since 3.15 doesn't fork with -W error.
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            pid = os.fork()
        return pid or _be_child(work)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_child(work: Callable[[], None]) -> NoReturn:
    """Do the work and exit, whatever happens: nothing of who forked may run on in the child."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number, action in IN_CHILD.items():
            signal.signal(number, action)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, IN_CHILD)
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except OSError as error:
        status = os.EX_OSERR
        Log("child", "error").error("ended: refused by the system", **refusal(error))  # the master says whose it was
    except BaseException:  # noqa: BLE001 - the child ends here in any case, and says why
        traceback.print_exc()
    finally:
        os._exit(status)
