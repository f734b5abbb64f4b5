"""A command that detaches, run as a process of its own, seen by the shell that called it."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.children import environment

Completed = subprocess.CompletedProcess[str]
Command = Callable[..., Completed]

PROGRAM = """
import os, signal, sys
from prefork.master.daemon import detach, fill_closed_streams
from prefork.master.errors import StartError

fill_closed_streams()
keep, dropped = 50, 51
for number, name in ((keep, "kept"), (dropped, "dropped")):
    opened = os.open(f"{{sys.path[0]}}/{{name}}", os.O_WRONLY | os.O_CREAT)
    os.dup2(opened, number)
    os.close(opened)

def daemon(verdict):
{daemon}

try:
    verdict = detach([keep])
except StartError as error:
    print(error, file=sys.stderr)
    sys.exit(error.status)
daemon(verdict)
"""

# Writes where the standard streams of a shell lead.
TELL = 'links=$(readlink /proc/$$/fd/0; readlink /proc/$$/fd/1; readlink /proc/$$/fd/2); echo "$links" >links'


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run a program that detaches and does as told as a daemon; return when the command itself does."""

    def run(daemon: str, shell: str = "exec {}") -> Completed:
        (tmp_path / "program.py").write_text(
            PROGRAM.format(daemon=textwrap.indent(textwrap.dedent(daemon) or "pass", "    "))
        )
        line = shell.format(f"{sys.executable} {tmp_path}/program.py")
        environ = environment()
        return subprocess.run(  # its pipes are at their end when the daemon too has let go of them
            ["/bin/sh", "-c", line], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=30, check=False
        )

    return run


def test_the_command_returns_0_when_the_daemon_is_ready_and_the_daemon_lives_on(
    command: Command, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = command("""
        verdict.ready()
        with open("fifo", "w") as fifo:  # waits for a reader
            fifo.write(f"{os.getpid()} {os.getsid(0)} {os.getcwd()} {os.umask(0):o}")
    """)
    assert (done.returncode, done.stderr) == (0, "")
    pid, session, folder, umask = (tmp_path / "fifo").read_text().split()
    assert session != str(os.getsid(0))
    assert pid != session  # not a session's leader, so it can't get a terminal (open(2), O_NOCTTY)
    assert (folder, umask) == (str(tmp_path), "22")


def test_a_start_that_fails_is_reported_by_the_command(command: Command) -> None:
    done = command("""
        verdict.failed(StartError(os.EX_SOFTWARE, "workers: three in a row failed: größe"))
        os._exit(0)
    """)
    assert (done.returncode, done.stderr) == (os.EX_SOFTWARE, "workers: three in a row failed: größe\n")


def test_a_problem_of_any_length_is_reported(command: Command) -> None:
    done = command("""
        verdict.failed(StartError(os.EX_CONFIG, "ü" * 100_000))  # cut within one
    """)
    assert done.returncode == os.EX_CONFIG
    assert done.stderr.startswith("üüü")


def test_a_daemon_that_is_killed_before_its_verdict_has_failed(command: Command) -> None:
    done = command("os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == 1
    assert done.stderr == "daemon: ended before it was ready; start it without --daemon to see why\n"


def test_a_child_that_closed_its_copy_does_not_hide_the_end_of_the_daemon(command: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = command("""
        if os.fork() == 0:
            from prefork.master.processes import leave_all_but
            leave_all_but(())
            open("fifo").read()  # outlives the daemon
        os._exit(0)
    """)
    assert done.returncode == 1
    (tmp_path / "fifo").write_text("end")


def test_the_daemon_keeps_what_it_is_told_to_and_nothing_else(command: Command, tmp_path: Path) -> None:
    done = command("""
        os.write(keep, "\\n".join(os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")).encode())
        verdict.ready()
    """)
    assert done.returncode == 0
    kept = [
        path for path in (tmp_path / "kept").read_text().splitlines() if "pipe:" not in path and "/proc" not in path
    ]
    assert sorted(kept) == sorted([os.devnull] * 3 + [str(tmp_path / "kept")])


def test_the_signals_that_resize_the_service_are_not_ignored(command: Command, tmp_path: Path) -> None:
    command("""
        os.write(keep, repr([signal.getsignal(s) == signal.SIG_DFL for s in (signal.SIGTTIN, signal.SIGTTOU)]).encode())
        verdict.ready()
    """)
    assert (tmp_path / "kept").read_text() == "[True, True]"


def test_the_caller_says_how_large_a_core_dump_may_be(command: Command, tmp_path: Path) -> None:
    command(
        """
        import resource
        os.write(keep, str(resource.getrlimit(resource.RLIMIT_CORE)[0]).encode())
        verdict.ready()
    """,
        shell="ulimit -S -c 8; exec {}",
    )
    assert (tmp_path / "kept").read_text() == "4096"


def test_a_command_that_was_interrupted_does_not_end_the_daemon(command: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    command(
        """
        os.kill(int(os.environ["CALLER"]), signal.SIGKILL)
        while os.path.exists(f"/proc/{os.environ['CALLER']}/fd/0"):
            pass
        verdict.ready()
        open("fifo", "w").write("alive")
    """,
        shell="CALLER=$$ exec {}",
    )
    assert (tmp_path / "fifo").read_text() == "alive"


def test_a_caller_may_have_closed_its_standard_streams(command: Command, tmp_path: Path) -> None:
    done = command(
        """
        os.write(keep, "\\n".join(os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)).encode())
        verdict.ready()
    """,
        shell="exec {} <&- >&- 2>&-",
    )
    assert done.returncode == 0
    assert (tmp_path / "kept").read_text().split() == [os.devnull] * 3


def test_the_programs_of_a_daemon_have_streams_that_lead_nowhere(command: Command, tmp_path: Path) -> None:
    done = command(f"""
        import subprocess
        subprocess.run(["sh", "-c", {TELL!r}])
        verdict.ready()
    """)
    assert done.returncode == 0
    assert (tmp_path / "links").read_text().split() == [os.devnull] * 3


def test_programs_have_the_streams_too_that_the_caller_had_closed(tmp_path: Path) -> None:
    program = f"""
import subprocess
from prefork.master.daemon import fill_closed_streams
fill_closed_streams()
subprocess.run(["sh", "-c", {TELL!r}])
"""
    closed = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable, "-c", program]
    environ = environment()
    assert subprocess.run(closed, cwd=tmp_path, env=environ, timeout=30, check=False).returncode == 0
    assert (tmp_path / "links").read_text().split() == [os.devnull] * 3


def test_a_system_that_refuses_a_process_is_reported() -> None:
    program = """
import errno, os
from prefork.master.daemon import detach
from prefork.master.errors import StartError

def refuse():
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

os.fork = refuse
try:
    detach(())
except StartError as error:
    print(error.status, error)
"""
    environ = environment()
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"{os.EX_OSERR} daemon: can't fork: Resource temporarily unavailable\n"


def test_a_working_directory_that_is_gone_is_reported(command: Command) -> None:
    done = command("", shell="mkdir gone; cd gone; rmdir ../gone; exec {}")
    assert done.returncode == os.EX_OSERR
    assert done.stderr == "daemon: can't detach: [Errno 2] No such file or directory\n"
