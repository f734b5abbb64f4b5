"""HUP with changed code under load, for each framework: no request is lost, and the new code answers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apps.serving import Serve, copied, edit
from tests.process.clients import Load

OLD, NEW, MENDED = (200, b"old"), (200, b"newer"), (200, b"mended")

FLASK = (copied("flask_shop.py"), "flask_shop.py", 'return "old"', "flask_shop:app")
FALCON = (copied("falcon_shop.py"), "falcon_shop.py", 'text = "old"', "falcon_shop:create_app()")


def change_under_load(serve: Serve, fill: Callable[[Path], object], file: str, line: str, *words: str) -> None:
    site = serve(fill, *words, "--workers", "2")
    with Load(site.connect) as load:
        load.wait_for_more()
        edit(site.folder / file, line, line.replace("old", "newer"))
        site.hang_up(" reloaded generation=2")
        assert {site.connect().ask().body for _ in range(20)} == {b"newer"}
        load.wait_for_more()
        edit(site.folder / file, line.replace("old", "newer"), line.replace('"old"', "("))
        log = site.hang_up(" reload failed generation=3 kept=2 ")
        assert f"SyntaxError: '(' was never closed ({file}:" in log
        load.wait_for_more()
        assert site.connect().ask().body == b"newer"
        edit(site.folder / file, line.replace('"old"', "("), line.replace("old", "mended"))
        site.hang_up(" reloaded generation=4")
        load.wait_for_more()
        assert site.connect().ask().body == b"mended"
    assert load.lost == []
    assert set(load.answers) == {OLD, NEW, MENDED}


@pytest.mark.parametrize("site", [FLASK, FALCON], ids=["Flask", "Falcon"])
def test_changed_code_answers_and_broken_code_never_does(
    serve: Serve, site: tuple[Callable[[Path], object], str, str, str]
) -> None:
    change_under_load(serve, *site)


def test_a_changed_view_of_django_answers_and_a_broken_one_never_does(
    serve: Serve, project: Callable[[Path], object]
) -> None:
    change_under_load(
        serve, project, "notes/views.py", 'HttpResponse("old")', "shop.wsgi", "--threads", "4", "--hooks", "notes.hooks"
    )


def test_views_that_the_project_itself_has_checked_are_shared_by_a_mold_and_never_broken(
    serve: Serve, project: Callable[[Path], object]
) -> None:
    def fill(folder: Path) -> None:
        project(folder)
        with (folder / "shop/wsgi.py").open("a") as file:
            file.write('\nfrom django.core.management import call_command\ncall_command("check")\n')

    change_under_load(serve, fill, "notes/views.py", 'HttpResponse("old")', "shop.wsgi", "--preload", "mold")
