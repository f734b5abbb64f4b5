"""Flask, as it is: its requests, answers, sessions, uploads, streams, files and errors."""

import hashlib

import requests

from tests.apps.serving import LARGE, Serve, copied, curl
from tests.process.hello import Hello
from tests.process.waiting import LIMIT

SHOP = copied("flask_shop.py"), "flask_shop:app", "--workers", "2"


def url(site: Hello, path: str) -> str:
    return f"http://127.0.0.1:{site.ports[0]}{path}"


def test_a_site_of_flask_is_served_as_its_author_meant_it(serve: Serve) -> None:
    site = serve(*SHOP)
    with requests.Session() as browser:
        browser.trust_env = False
        assert browser.get(url(site, "/hello/J%C3%BCrg%20%3C3"), timeout=LIMIT).text == "<p>Hello, Jürg &lt;3!</p>"
        asked = {"query": "a b&c", "form": "zürich", "client": "127.0.0.1"}
        answer = browser.post(url(site, "/echo"), params={"q": "a b&c"}, data={"word": "zürich"}, timeout=LIMIT)
        assert answer.json() == asked
        assert [browser.get(url(site, "/visits"), timeout=LIMIT).text for _ in range(3)] == ["1", "2", "3"]
        assert browser.get(url(site, "/old"), timeout=LIMIT).text == "old"
        gone = browser.get(url(site, "/gone"), timeout=LIMIT)
        assert (gone.status_code, "it was here" in gone.text) == (410, True)
        head = browser.head(url(site, "/hello/you"), timeout=LIMIT)
        assert (head.headers["Content-Length"], head.content) == ("18", b"")
        upload = browser.post(url(site, "/upload"), files={"file": ("a.bin", LARGE)}, timeout=LIMIT)
        assert upload.json() == {"name": "a.bin", "sha256": hashlib.sha256(LARGE).hexdigest()}


def test_a_stream_of_flask_is_chunked_and_a_file_is_whole_in_parts_and_not_modified(serve: Serve) -> None:
    site = serve(*SHOP)
    with requests.Session() as browser:
        browser.trust_env = False
        stream = browser.get(url(site, "/count"), timeout=LIMIT)
        assert stream.headers["Transfer-Encoding"] == "chunked"
        assert stream.text.split() == [str(number) for number in range(1000)]
        whole = browser.get(url(site, "/file"), timeout=LIMIT)
        assert whole.content == LARGE
        part = browser.get(url(site, "/file"), headers={"Range": "bytes=1000-1999"}, timeout=LIMIT)
        assert (part.status_code, part.content) == (206, LARGE[1000:2000])
        unchanged = browser.get(url(site, "/file"), headers={"If-None-Match": whole.headers["ETag"]}, timeout=LIMIT)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert curl(site, "/count", "--http1.0").count(b"\n") == 1000


def test_an_error_in_flask_is_answered_with_500_and_its_traceback_is_in_the_log(serve: Serve) -> None:
    serve.may_log_tracebacks = True
    site = serve(*SHOP)
    assert site.get("/broken").status_code == 500
    site.wait_for_log("RuntimeError: the till is empty")
    assert site.get().text == "old"
