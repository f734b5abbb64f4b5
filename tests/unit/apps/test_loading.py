"""What is found as the application, and what is said where there is none."""

import calendar
import importlib
import os
from pathlib import Path

import pytest

from prefork.apps.interface import LoadError
from prefork.apps.loading import load, unreadable_folder
from tests.unit.apps.modules import folder
from tests.unit.children import in_child

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

async def handle(*args):
    pass

class Handler:
    async def __call__(self, *args):
        pass

handler = Handler()
shop = Shop()
asgi_app = Asgi()
partial = functools.partial(app)

def create_app(debug=False):
    return app

def create_shop(debug=False, config=None):
    return app

def create_factory():
    return lambda: app

def configured(config):
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
        ("shop:create_shop()", b"app"),
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
        ("packag.wsgi:app", "there is no module packag in {folder}, did you mean package?"),
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
        ("shop:handle", f"handle {IS_ASGI}"),
        ("shop:handler", f"handler {IS_ASGI}"),
        ("shop:configured", "configured doesn't take (environ, start_response)"),
        ("shop:configured()", "TypeError: configured() missing 1 required positional argument: 'config'"),
        ("shop:create_factory()", "create_factory() doesn't take (environ, start_response)"),
        ("private:app", "private has no app"),
        ("sys:app", "sys (built in) has no app"),
        ("needy", "needy has no application, did you mean create_app?"),
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
        "package/zebra.py": "",
        "empty.py": "",
        "private.py": "_app = 3",
        "needy.py": "def create_app(config):\n    pass",
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


def test_a_module_from_elsewhere_is_told_with_its_file(folder: Path) -> None:
    (folder / "calendar.py").write_text(SHOP)
    importlib.import_module("calendar")  # as the server itself may have done before
    with pytest.raises(LoadError) as error:
        load("calendar:app")
    hint = f"it hides the one of {folder}, which needs another name"
    assert error.value.problem == f"calendar:app: calendar ({calendar.__file__}) has no app; {hint}"


def test_a_callable_that_python_knows_nothing_of_is_taken_as_it_is() -> None:
    assert load("builtins:dict") is dict


def test_folders_and_files_that_are_no_modules_are_not_meant(folder: Path) -> None:
    (folder / "shopp").write_text("")
    (folder / "shop-p.py").write_text("")
    with pytest.raises(LoadError) as error:
        load("shop:app")
    assert "did you mean" not in error.value.problem


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read something")
def test_a_python_that_the_workers_user_may_not_read_is_found(tmp_path: Path) -> None:
    (tmp_path / "python").mkdir(mode=0o700)

    def look() -> None:
        os.setresuid(65534, 65534, 65534)
        assert unreadable_folder(("/usr/bin/env", f"{tmp_path}/python/os.py")) == f"{tmp_path}/python"

    in_child(look)
    assert unreadable_folder((f"{tmp_path}/python/os.py",)) == ""
