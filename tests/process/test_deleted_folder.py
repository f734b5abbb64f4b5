"""The working directory is deleted under the service: it goes on, and all that doesn't need it works."""

import os
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGUSR1, SIGUSR2

from tests.process.clients import Load
from tests.process.hello import Hello
from tests.process.starting import Start


def homeless(start: Start, toml: str, *flags: str) -> Hello:
    """Start it in a folder that is gone when it serves."""
    folder = start.folder / "folder"
    folder.mkdir(mode=0o777)
    hello = start(toml, *flags, under=("env", f"--chdir={folder}"))
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()
    assert str(Path(f"/proc/{hello.master_pid}/cwd").readlink()).endswith(" (deleted)")
    return hello


def test_workers_are_replaced_reloaded_and_upgraded(start: Start) -> None:
    hello = homeless(start, "workers = 2", "--config", str(start.folder / "service-1" / "hello.toml"))
    with Load(hello.connect) as load:
        hello.reload("workers = 2")
        load.wait_for_more()
        hello.signal(SIGUSR2)
        hello.wait_for_log(" upgraded ")
        load.wait_for_more()
    assert load.lost == []
    victim, _other = hello.wait_for_workers(2)
    os.kill(victim, SIGKILL)
    hello.wait_for_workers(2, without=[victim])
    assert hello.get().status_code == 200


def test_what_needs_it_fails_and_says_so(start: Start) -> None:
    relative = start.folder / "folder" / "hello.toml"
    relative.parent.mkdir()
    relative.write_text("bind = ['127.0.0.1:0']\nworkers = 1\npid_file = 'pid'\naccess_log = 'access'")
    hello = start("", under=("env", f"--chdir={relative.parent}"))
    for each in relative.parent.iterdir():
        each.unlink()
    relative.parent.rmdir()
    hello.signal(SIGHUP)
    hello.wait_for_log(
        'reload failed generation=2 kept=1 reason="hello.toml: cannot be read: no such file or directory"'
    )
    hello.signal(SIGUSR1)
    hello.wait_for_log('log file not reopened path=access reason="No such file or directory"')
    hello.signal(SIGUSR2)
    hello.wait_for_log("upgrade failed kept=1 reason=")
    assert hello.get().status_code == 200
    assert hello.stop() == 0
