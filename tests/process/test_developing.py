"""`prefork run --reload`: what somebody who works on an application sees of its mistakes."""

import pytest

from tests.process.starting import Start

FAILING = """
def answer(environ, start_response):
    if environ["PATH_INFO"] == "/later":
        start_response("200 OK", [])
        return fail("later")
    if environ["PATH_INFO"] == "/silent":
        return []
    raise KeyError("secret")

def fail(why):
    raise KeyError(why)
    yield b""
"""
SHOP = 'app = "shop:answer"\nworkers = 1'


@pytest.mark.parametrize("toml", ["", "threads = 2", 'preload = "mold"'])
def test_with_the_flag_reload_a_failure_is_shown_to_the_client(start_app: Start, toml: str) -> None:
    start_app.files = {"shop.py": FAILING}
    hello = start_app(f"{SHOP}\n{toml}", "--reload")
    failed = hello.get()
    assert (failed.status_code, failed.headers["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert failed.text.startswith("The application failed: KeyError: 'secret' (shop.py:8)\n\n  File ")
    assert 'raise KeyError("secret")' in failed.text
    assert "in respond" not in failed.text
    assert "KeyError: 'later' (shop.py:11)" in hello.get("/later").text
    assert "the application did not call start_response (PEP 3333)" in hello.get("/silent").text


def test_a_failure_is_shown_in_frames_that_are_right_and_to_head_without_content(start_app: Start) -> None:
    start_app.files = {"shop.py": FAILING}
    hello = start_app(SHOP, "--reload")
    client = hello.connect()
    for path in "/", "/later":
        shown = client.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert (shown.status, shown.fields["content-length"]) == (500, str(len(shown.body)))
        client.send(f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert client.answer(to_head=True).status == 500


@pytest.mark.parametrize(
    ("toml", "flags", "environ"),
    [
        ("", (), {}),
        ("reload = true", (), {}),
        ("", (), {"PREFORK_RELOAD": "true"}),
        ("reload = true", ("--no-reload",), {}),
    ],
)
def test_without_the_flag_reload_a_client_is_told_nothing(
    start_app: Start, toml: str, flags: tuple[str, ...], environ: dict[str, str]
) -> None:
    start_app.files = {"shop.py": FAILING}
    hello = start_app(f"{SHOP}\n{toml}", *flags, environ=environ)
    for path in "/", "/later", "/silent":
        failed = hello.get(path)
        assert (failed.status_code, failed.text) == (500, "The application failed.\n")
    hello.reload(f"{SHOP}\nreload = true")
    assert hello.get().text == "The application failed.\n"
