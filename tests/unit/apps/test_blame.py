"""What is told of an exception in an application."""

from pathlib import Path

import pytest

from prefork.apps.interface import LoadError
from prefork.apps.loading import load
from tests.unit.apps.modules import folder

__all__ = ["folder"]


def traceback_of(target: str) -> list[str]:
    with pytest.raises(LoadError) as error:
        load(target)
    return [line.strip() for line in error.value.traceback if set(line) - set(" ^~")]


def test_a_traceback_has_the_frames_of_the_application_only(folder: Path) -> None:
    (folder / "outer.py").write_text("import inner\n")
    (folder / "inner.py").write_text("def f():\n    1 / 0\nf()\n")
    assert traceback_of("outer:app") == [
        f'File "{folder}/outer.py", line 1, in <module>', "import inner",
        f'File "{folder}/inner.py", line 3, in <module>', "f()",
        f'File "{folder}/inner.py", line 2, in f', "1 / 0",
        "ZeroDivisionError: division by zero",
    ]  # fmt: skip


def test_the_cause_is_told_too_and_as_short(folder: Path) -> None:
    (folder / "outer.py").write_text(
        "try:\n    import inner\nexcept ImportError as e:\n    raise RuntimeError from e\n"
    )
    (folder / "inner.py").write_text("import nowhere\n")
    assert traceback_of("outer:app") == [
        f'File "{folder}/outer.py", line 2, in <module>', "import inner",
        f'File "{folder}/inner.py", line 1, in <module>', "import nowhere",
        "ModuleNotFoundError: No module named 'nowhere'",
        "The above exception was the direct cause of the following exception:",
        f'File "{folder}/outer.py", line 4, in <module>', "raise RuntimeError from e",
        "RuntimeError",
    ]  # fmt: skip


def test_several_exceptions_are_told(folder: Path) -> None:
    (folder / "outer.py").write_text('raise ExceptionGroup("some", [ValueError("a"), KeyError("b")])')
    told = "\n".join(traceback_of("outer:app"))
    assert "ValueError: a" in told
    assert "KeyError: 'b'" in told


def test_a_syntax_error_shows_the_line(folder: Path) -> None:
    (folder / "outer.py").write_text("x = 1\nx = = 2\n")
    assert traceback_of("outer:app") == [
        f'File "{folder}/outer.py", line 2', "x = = 2", "SyntaxError: invalid syntax",
    ]  # fmt: skip


def test_an_exception_without_a_message_is_told(folder: Path) -> None:
    (folder / "outer.py").write_text("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E\n")
    with pytest.raises(LoadError, match=r"outer:app: outer\.E: its message can't be made \(outer\.py:4\)"):
        load("outer:app")


def test_what_a_library_raises_is_placed_where_the_application_called_it(folder: Path) -> None:
    library = folder / "lib" / "site-packages"
    library.mkdir(parents=True)
    (library / "library.py").write_text("class Wrong(Exception):\n    pass\ndef f():\n    raise Wrong('x')\n")
    (folder / "outer.py").write_text(f"import sys\nsys.path.append({str(library)!r})\nimport library\nlibrary.f()\n")
    with pytest.raises(LoadError, match=r"^outer:app: library\.Wrong: x \(outer\.py:4\)$"):
        load("outer:app")
