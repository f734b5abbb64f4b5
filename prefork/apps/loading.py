"""Finds and imports the user's application, in the worker that will run it: the master never does.

Everything that can be wrong with it has a message of its own, because "it doesn't start" is all that its author knows.
"""

import difflib
import importlib
import inspect
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, Final

from prefork.apps.blame import own_frames, own_traceback, place, summary
from prefork.apps.interface import LoadError

DEFAULT_NAME: Final = "application"  # what frameworks call it, and other servers look for
USUAL_MODULES: Final = frozenset({"app", "wsgi"})
USUAL_NAMES: Final = ("app", DEFAULT_NAME, "create_app", "make_app")
WSGI_ARGUMENTS: Final = 2  # PEP 3333: environ, start_response
PYTHONS_OWN: Final = (os.__file__, __file__)  # where its modules are, and where pip has put others
NOT_LOADED: Final = os.EX_DATAERR

_PATCHED: Final = "it replaces what Python waits by, as gevent.monkey does, and prefork can't serve then; take threads"


def load(target: str) -> Callable[..., Any]:  # Any: whatever the application is
    """Return the callable that MODULE:CALLABLE or MODULE:FACTORY() names.

    Raises:
        LoadError: 65; the message begins with the target.
    """
    module_name, _, names = target.partition(":")
    names = names or DEFAULT_NAME
    found = _attribute(target, import_module(target, module_name), names.removesuffix("()"))
    if names.endswith("()"):
        found = _made(target, found, names)
    if not hasattr(select, "epoll"):
        raise LoadError(NOT_LOADED, f"{target}: {_PATCHED}")
    return _checked(target, found, names)


def import_module(target: str, name: str) -> ModuleType:
    """Import a module that `target` asks for; raises LoadError."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not own_frames(error) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise _no_module(target, error.name) from None
        if folder := unreadable_folder(PYTHONS_OWN):
            raise _no_python(target, folder) from None
        raise failure(target, error) from None
    except BaseException as error:  # noqa: BLE001 - whatever the application raises is told as its own
        raise failure(target, error) from None


def failure(target: str, error: BaseException) -> LoadError:
    """Return what tells of an exception in the application's own code."""
    if isinstance(error, SystemExit):
        problem = f"it ends by sys.exit({'' if error.code is None else repr(error.code)}){place(error, os.getcwd())}"
        return LoadError(NOT_LOADED, f"{target}: {problem}", own_traceback(error))
    return LoadError(NOT_LOADED, f"{target}: {summary(error, os.getcwd())}", own_traceback(error))


def _no_module(target: str, missing: str) -> LoadError:
    parent, _, leaf = missing.rpartition(".")
    folders = list(getattr(sys.modules.get(parent), "__path__", ())) if parent else [os.getcwd()]
    if not parent and not os.access(folders[0], os.R_OK | os.X_OK):
        problem = f"{target}: {folders[0]} can't be read by the user {os.geteuid()}; change its owner or mode, or chdir"
        return LoadError(os.EX_NOPERM, problem)
    meant = difflib.get_close_matches(leaf, sorted(_modules(folders)))
    hint = f", did you mean {meant[0]}?" if meant else "" if parent else "; set chdir or pythonpath"
    return LoadError(NOT_LOADED, f"{target}: there is no module {leaf} in {parent or os.getcwd()}{hint}")


def unreadable_folder(files: Iterable[str]) -> str:
    """Return the first folder of these files in which this user can look for no others, or nothing."""
    return next((each for each in map(os.path.dirname, files) if not os.access(each, os.R_OK | os.X_OK)), "")


def _no_python(target: str, folder: str) -> LoadError:
    problem = f"{folder}, where Python looks for modules, can't be read by the user {os.geteuid()}"
    return LoadError(os.EX_NOPERM, f"{target}: {problem}; take a Python and an environment that it can read")


def _modules(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        for entry in _entries(folder):
            name = entry.removesuffix(".py")
            if name.isidentifier() and (name != entry or os.path.isdir(os.path.join(folder, entry))):
                yield name


def _entries(folder: str) -> list[str]:
    """Return what is in a folder, as far as it is one and ours to look into."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _attribute(target: str, module: ModuleType, names: str) -> object:
    found: object = module
    said = _told(module)
    for name in names.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            hint = _meant(found, name) or (_meant_module(module) if found is module else "")
            raise LoadError(NOT_LOADED, f"{target}: {said} has no {name}{hint}") from None
        except Exception as error:  # noqa: BLE001 - a property, or a module's __getattr__
            raise failure(target, error) from None
        said = f"{said}.{name}"
    return found


def _told(module: ModuleType) -> str:
    """Return the name of a module, with its file where that isn't here: it may be another than was meant."""
    path = getattr(module, "__file__", None)
    if path is None and hasattr(module, "__path__"):
        return f"{module.__name__}, a folder without an __init__.py,"
    if path is None or not path.startswith(os.getcwd() + os.sep):
        return f"{module.__name__} ({path or 'built in'})"
    return module.__name__


def _meant(owner: object, name: str) -> str:
    public = [each for each in dir(owner) if not each.startswith("_")]
    close = difflib.get_close_matches(name, public)
    meant = next((each for each in (*USUAL_NAMES, *close) if each in public), None)
    if meant is None:
        return ""
    return f", did you mean {meant}{'()' if _is_factory(getattr(owner, meant)) else ''}?"


def _meant_module(module: ModuleType) -> str:
    """Return a hint where another module is meant: of this package, or of this folder, but hidden by Python's."""
    inside = sorted(set(_modules(getattr(module, "__path__", ()))) & USUAL_MODULES)
    if inside:
        return f", did you mean {module.__name__}.{inside[-1]}?"
    if module.__name__ in sys.stdlib_module_names and module.__name__ in _modules([os.getcwd()]):
        return f"; it hides the one of {os.getcwd()}, which needs another name"
    return ""


def _made(target: str, factory: object, names: str) -> object:
    if not callable(factory):
        raise LoadError(NOT_LOADED, f"{target}: {names.removesuffix('()')} is {_kind(factory)}, not a function to call")
    if not _takes(factory, 0) and _takes(factory, WSGI_ARGUMENTS):
        name = names.removesuffix("()")
        raise LoadError(NOT_LOADED, f"{target}: {name} takes arguments, did you mean {name}, the application itself?")
    try:
        return factory()
    except BaseException as error:  # noqa: BLE001 - whatever the application raises is told as its own
        raise failure(target, error) from None


def _checked(target: str, found: object, names: str) -> Callable[..., Any]:
    if not callable(found):
        verb = "returned" if names.endswith("()") else "is"
        raise LoadError(NOT_LOADED, f"{target}: {names} {verb} {_kind(found)}, which can't be called")
    if _is_asynchronous(found):
        problem = (
            f"{target}: {names} is an ASGI application, and prefork serves WSGI; take a server for ASGI, or wrap it"
        )
        raise LoadError(NOT_LOADED, problem)
    if not _takes(found, WSGI_ARGUMENTS):
        hint = f", did you mean {names}()?" if _is_factory(found) and not names.endswith("()") else ""
        raise LoadError(NOT_LOADED, f"{target}: {names} doesn't take (environ, start_response){hint}")
    return found


def _kind(value: object) -> str:
    return "None" if value is None else f"an object of {type(value).__name__}"


def _is_asynchronous(found: Callable[..., Any]) -> bool:
    """Tell whether it is for ASGI, the version with one call or with two."""
    if inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(type(found).__call__):
        return True
    try:
        return next(iter(inspect.signature(found).parameters), "") == "scope"
    except (TypeError, ValueError):  # written in C
        return False


def _is_factory(found: object) -> bool:
    return callable(found) and _takes(found, 0) and not _takes(found, WSGI_ARGUMENTS)


def _takes(found: Callable[..., Any], count: int) -> bool:
    """Tell whether it can be called with so many arguments, as far as Python knows."""
    try:
        inspect.signature(found).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # written in C
        return True
    return True
