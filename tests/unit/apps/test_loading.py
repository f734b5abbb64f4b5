"""What is found as the application, and what is said where there is none."""

import calendar
import importlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefork.apps.interface import LoadError
from prefork.apps.loading import drop_young_bytecode, load, prepare
from tests.unit.apps.modules import folder

__all__ = ["folder"]

SHOP = """
import functools

def app(environ, start_response):
    return [b"app"]

application = app
text = "x"

class Shop:
    def __call__(self, environ, start_response):
        return [b"shop"]
    wsgi_app = __call__

class Asgi:
    async def __call__(self, scope, receive, send):
        pass

async def asgi(scope, receive, send):
    pass

shop = Shop()
asgi_app = Asgi()
partial = functools.partial(app)

def create_app(debug=False):
    return app

def none():
    return None

def broken():
    raise ValueError("boom,\\n  twice")

def leave():
    raise SystemExit(3)
"""


IS_ASGI = "is an ASGI application, and prefork serves WSGI; take a server for ASGI, or wrap it"
OTHERS = """
def scoped(scope, receive, send):
    pass

class Scoped:
    def __init__(self, scope):
        pass

def app(environ, start_response):
    pass
"""


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("shop:app", b"app"),
        ("shop", b"app"),
        ("shop:shop", b"shop"),
        ("shop:shop.wsgi_app", b"shop"),
        ("shop:Shop()", b"shop"),
        ("shop:partial", b"app"),
        ("shop:create_app()", b"app"),
        ("package.wsgi:app", b"app"),
    ],
)
def test_an_application_is_found(folder: Path, target: str, body: bytes) -> None:
    (folder / "shop.py").write_text(SHOP)
    (folder / "package").mkdir()
    (folder / "package" / "wsgi.py").write_text(SHOP)
    assert load(target)({}, lambda *_: None) == [body]


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("shopp:app", "there is no module shopp in {folder}, did you mean shop?"),
        ("zzz:app", "there is no module zzz in {folder}; set chdir or pythonpath"),
        ("package.wsgj:app", "there is no module wsgj in package, did you mean wsgi?"),
        ("zzz.wsgi:app", "there is no module zzz in {folder}; set chdir or pythonpath"),
        ("shop.wsgi:app", "there is no module wsgi in shop"),
        ("shop:aap", "shop has no aap, did you mean app?"),
        ("shop:shop.wsgi", "shop.shop has no wsgi, did you mean wsgi_app?"),
        ("factory", "factory has no application, did you mean create_app()?"),
        ("empty:app", "empty has no app"),
        ("shop:text", "text is an object of str, which can't be called"),
        ("shop:text()", "text is an object of str, not a function to call"),
        ("shop:none()", "none() returned None, which can't be called"),
        ("shop:create_app", "create_app doesn't take (environ, start_response), did you mean create_app()?"),
        ("shop:asgi", f"asgi {IS_ASGI}"),
        ("shop:asgi_app", f"asgi_app {IS_ASGI}"),
        ("others:scoped", f"scoped {IS_ASGI}"),
        ("others:Scoped", f"Scoped {IS_ASGI}"),
        ("others:app()", "app takes arguments, did you mean app, the application itself?"),
        ("package:app", "package, a folder without an __init__.py, has no app, did you mean package.wsgi?"),
        ("shop:broken()", "ValueError: boom, twice (shop.py:{broken})"),
        ("shop:leave()", "it ends by sys.exit(3) (shop.py:{leave})"),
        ("flasky:app", "ModuleNotFoundError: No module named 'flaskk' (flasky.py:2)"),
        ("syntax:app", "SyntaxError: '(' was never closed (syntax.py:2)"),
        ("leaving:app", "it ends by sys.exit() (leaving.py:2)"),
        ("lazy:app", "RuntimeError (lazy.py:2)"),
    ],
)
def test_what_can_not_be_loaded_is_told_in_a_line(folder: Path, target: str, problem: str) -> None:
    files = {
        "shop.py": SHOP,
        "package/wsgi.py": SHOP,
        "empty.py": "",
        "others.py": OTHERS,
        "factory.py": "def create_app():\n    pass",
        "flasky.py": "import os\nimport flaskk\n",
        "syntax.py": "import os\ndef f(",
        "leaving.py": "import sys\nsys.exit()",
        "lazy.py": "def __getattr__(name):\n    raise RuntimeError",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    lines = SHOP.split("\n")
    places = {name: lines.index(f"def {name}():") + 2 for name in ("broken", "leave")}
    with pytest.raises(LoadError) as error:
        load(target)
    assert error.value.problem == f"{target}: {problem.format(folder=folder, **places)}"
    assert error.value.status == 65


def test_a_printed_line_is_written_at_once_and_whole() -> None:
    prints = "import sys; print('a', 1); print('b', 2, file=sys.stderr)"
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, its:
        subprocess.run(
            [sys.executable, "-u", "-c", f"from prefork.apps import loading; loading.tell_lines_at_once(); {prints}"],
            stdout=its.fileno(),
            stderr=its.fileno(),
            check=True,
        )
        its.shutdown(socket.SHUT_WR)
        assert list(iter(lambda: ours.recv(100), b"")) == [b"a 1\n", b"b 2\n"]


def test_a_module_from_elsewhere_is_told_with_its_file(folder: Path) -> None:
    (folder / "calendar.py").write_text(SHOP)
    importlib.import_module("calendar")  # as the server itself may have done before
    with pytest.raises(LoadError) as error:
        load("calendar:app")
    hint = f"it hides the one of {folder}, which needs another name"
    assert error.value.problem == f"calendar:app: calendar ({calendar.__file__}) has no app; {hint}"
    with pytest.raises(LoadError, match=r"sys \(built in\) has no app"):
        load("sys:app")


def test_compiled_code_of_a_file_that_has_just_changed_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for name, age in (("young", 0), ("old", 3600)):
        (folder / f"{name}.py").write_text(SHOP)
        os.utime(folder / f"{name}.py", (time.time() - age,) * 2)
        load(f"{name}:app")
    drop_young_bytecode({"known"}, time.time())
    assert [each.name.partition(".")[0] for each in (folder / "__pycache__").iterdir()] == ["old"]


def test_the_application_gets_its_folder_its_modules_and_its_variables(folder: Path) -> None:
    for name in ("srv", "srv/lib", "other"):
        (folder / name).mkdir()
    os.environ["TAKEN"] = "environment"
    prepare("srv", ["lib", str(folder / "other")], {"TAKEN": "file", "FREE": "file"})
    assert Path.cwd() == folder / "srv"
    assert sys.path[:3] == [str(folder / each) for each in ("srv", "srv/lib", "other")]
    assert (os.environ["TAKEN"], os.environ["FREE"]) == ("environment", "file")


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(LoadError, match="chdir: nowhere: no such file or directory") as error:
        prepare("nowhere", [], {})
    assert error.value.status == 66


def test_a_folder_of_modules_that_is_not_there_is_told_with_the_one_that_it_was_looked_for_in(folder: Path) -> None:
    (folder / "srv").mkdir()
    for missing, where in ("nowhere", f" in {folder}/srv"), (f"{folder}/nowhere", ""):
        with pytest.raises(LoadError) as error:
            prepare(f"{folder}/srv", [missing], {})
        expected = f"pythonpath: {missing}: no such file or directory{where}"
        assert (error.value.status, error.value.problem) == (66, expected)


def test_a_file_that_came_after_the_folder_was_searched_is_found(folder: Path) -> None:
    with pytest.raises(LoadError):
        load("late:app")
    (folder / "late.py").write_text(SHOP)
    prepare(None, [], {})
    assert load("late:app")({}, lambda *_: None) == [b"app"]


def test_what_an_application_puts_in_the_place_of_a_module_has_no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    class Anything:
        def __getattr__(self, _name: str) -> "Anything":
            return self

    monkeypatch.setitem(sys.modules, "anything", Anything())
    drop_young_bytecode(set(sys.modules) - {"anything"}, time.time())


def test_a_callable_that_python_knows_nothing_of_is_taken_as_it_is() -> None:
    assert load("builtins:dict") is dict


def test_folders_and_files_that_are_no_modules_are_not_meant(folder: Path) -> None:
    (folder / "shopp").write_text("")
    (folder / "shop-p.py").write_text("")
    with pytest.raises(LoadError) as error:
        load("shop:app")
    assert "did you mean" not in error.value.problem
