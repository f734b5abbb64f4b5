"""Django, as it is: its ORM on SQLite, sessions, forms, uploads, streams and files, and one page in a browser."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.apps.serving import LARGE, Serve, curl
from tests.process import proc
from tests.process.hello import Hello
from tests.process.waiting import LIMIT

Fill = Callable[[Path], object]

MIB = 1024 * 1024
UPLOAD_SIZE = 100 * MIB
MOST_GROWTH = 20 * MIB
# Of what a browser does by itself only what the page asks for is left.
CHROMIUM = (
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server",
)  # fmt: skip


def url(site: Hello, path: str) -> str:
    return f"http://127.0.0.1:{site.ports[0]}{path}"


def test_rows_sessions_and_tokens_are_kept_over_all_workers(serve: Serve, project: Fill) -> None:
    site = serve(project, "shop.wsgi", "--workers", "2")
    with requests.Session() as browser:
        browser.trust_env = False
        refused = browser.post(url(site, "/notes"), data={"text": "forged"}, timeout=LIMIT)
        assert refused.status_code == 403
        assert "Hello, &lt;you&gt;!" in browser.get(url(site, "/page"), params={"name": "<you>"}, timeout=LIMIT).text
        token = {"X-CSRFToken": browser.cookies["csrftoken"]}
        for number in range(10):
            browser.post(url(site, "/notes"), data={"text": f"zürich {number}"}, headers=token, timeout=LIMIT)
        expected = [f"zürich {number}" for number in range(10)]
        assert browser.get(url(site, "/notes"), timeout=LIMIT).json() == {"notes": expected}
        assert [browser.get(url(site, "/visits"), timeout=LIMIT).text for _ in range(5)] == ["1", "2", "3", "4", "5"]
        assert "Django administration" in browser.get(url(site, "/admin/"), timeout=LIMIT).text


@pytest.mark.parametrize("threads", ["1", "4"])
def test_streams_and_files_of_django_come_whole(serve: Serve, project: Fill, threads: str) -> None:
    serve.may_log_tracebacks = True
    site = serve(project, "shop.wsgi:application", "--workers", "1", "--threads", threads)
    assert curl(site, "/count").split() == [b"%d" % number for number in range(1000)]
    file = site.get("/file")
    assert (file.content, file.headers["Content-Length"]) == (LARGE, str(len(LARGE)))
    assert site.get("/broken").status_code == 500
    site.wait_for_log("RuntimeError: the till is empty")


def test_a_file_of_100_mib_is_uploaded_and_the_worker_keeps_no_more_than_a_little(serve: Serve, project: Fill) -> None:
    site = serve(project, "shop.wsgi", "--workers", "1", "--limit-body", "101MiB")
    block = hashlib.sha256(b"").digest() * (MIB // 32)
    upload = site.folder / "upload.bin"
    with upload.open("wb") as file:
        for _ in range(UPLOAD_SIZE // MIB):
            file.write(block)
    site.get("/notes")
    (worker,) = site.worker_pids()
    before = proc.resident_bytes(worker)
    said = json.loads(curl(site, "/upload", "--form", f"file=@{upload}"))
    with upload.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert said == {"name": "upload.bin", "size": UPLOAD_SIZE, "sha256": digest}
    assert int(proc.status(worker)["VmHWM"][0]) * 1024 - before < MOST_GROWTH
    upload.unlink()


def test_an_upload_beyond_limit_body_is_refused_before_the_application_knows(serve: Serve, project: Fill) -> None:
    site = serve(project, "shop.wsgi", "--workers", "1", "--limit-body", "100k")
    file = str(site.folder / "large.bin")
    with pytest.raises(subprocess.CalledProcessError, match="22"):  # curl: an answer of 400 or more
        curl(site, "/upload", "--form", f"file=@{file}")
    assert site.get().text == "old"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")
def test_a_browser_shows_a_page_with_what_its_script_fetched(serve: Serve, project: Fill) -> None:
    site = serve(project, "shop.wsgi", "--workers", "2")
    profile = f"--user-data-dir={site.folder / 'profile'}"
    words = ["--virtual-time-budget=10000", "--dump-dom", url(site, "/page?name=Chromium")]
    seen = subprocess.run(
        [*CHROMIUM, profile, *words], capture_output=True, text=True, check=True, timeout=3 * LIMIT
    ).stdout
    assert "<h1>Hello, Chromium!</h1>" in seen
    assert "<li>from a browser</li>" in seen
    assert f"<title>{len(LARGE)} bytes, 1000 lines</title>" in seen
